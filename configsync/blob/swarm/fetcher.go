package swarm

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// FetcherConfig says from whom a Fetcher takes blobs. Store, Peers and Dial are needed.
type FetcherConfig struct {
	// Store gets the blobs.
	Store *blob.Store

	// Peers returns the ids of the nodes that are present, without this one. It is asked often, so it has to be
	// quick: a Roster keeps such a list. It must not change what it has returned.
	Peers func() []string

	// Dial connects to a peer's Handler.
	Dial func(ctx context.Context, peer string) (net.Conn, error)

	// Streams is how many blobs come in at once, 0 = 16; PeerStreams how many of them from one peer, 0 = 4.
	Streams, PeerStreams int

	// Rate is how many bytes a second come in; 0 = any number.
	Rate int64

	// Stall is for how long a peer may send nothing, or next to nothing, before another one is asked; 0 = 5 s.
	Stall time.Duration

	// Patience is how long Fetch goes on asking while nothing comes from anybody; 0 = 15 s.
	Patience time.Duration
}

// Fetcher brings blobs from peers into a store. All methods may be called by several goroutines at once; they
// share the bounds on streams and bytes.
type Fetcher struct {
	config    FetcherConfig
	transport *http.Transport
	rate      *limiter
	insist    time.Duration // insistAfter, but for tests

	mu     sync.Mutex
	peers  map[string]*peer // guarded by mu
	active int              // streams; guarded by mu
	counts FetcherStats     // Peers apart; guarded by mu
}

// peer is what is known of a node from all that was fetched. Guarded by Fetcher.mu.
type peer struct {
	active   int       // streams
	until    time.Time // it is not asked before
	failures int       // since it last worked
	offences int       // wrong bytes that it has sent
	counts   PeerStats
}

// FetcherStats are figures of a Fetcher.
type FetcherStats struct {
	Received int64                // bytes of blobs that were right
	Wasted   int64                // bytes that were thrown away
	Blobs    int64                // that were right
	Resumed  int64                // transfers that went on where another one was cut off
	Peers    map[string]PeerStats // those that are present, and others as long as there is room
}

// PeerStats are figures of what came from one peer.
type PeerStats struct {
	Received int64 // bytes, right and wrong ones
	Corrupt  int64 // blobs of which it sent other bytes
	Stalled  int64 // transfers that were given up because too little came
	Failed   int64 // connections and transfers that broke
}

const mostPeersKnown = 1000

// NewFetcher returns a Fetcher. Close it.
func NewFetcher(config FetcherConfig) *Fetcher {
	config.Streams = cmp.Or(max(config.Streams, 0), 16)
	config.PeerStreams = cmp.Or(max(config.PeerStreams, 0), 4)
	config.Stall = cmp.Or(config.Stall, 5*time.Second)
	config.Patience = cmp.Or(config.Patience, 15*time.Second)
	f := &Fetcher{config: config, rate: newLimiter(config.Rate), insist: insistAfter,
		peers: make(map[string]*peer)}
	f.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			id, err := idOf(addr)
			if err != nil {
				return nil, err
			}
			return config.Dial(ctx, id)
		},
		DisableCompression:     true,
		MaxConnsPerHost:        config.PeerStreams + 1, // one is for questions
		MaxIdleConnsPerHost:    config.PeerStreams + 1,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
	}
	return f
}

// Close closes the connections that are idle. Fetch ends by its context.
func (f *Fetcher) Close() { f.transport.CloseIdleConnections() }

// addressOf makes a host name of a peer's id, so that the client keeps a connection for the peer that it was
// made for.
func addressOf(id string) string { return "p" + hex.EncodeToString([]byte(id)) }

func idOf(addr string) (string, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return "", fmt.Errorf("swarm: %q is no peer: %w", addr, err)
	}
	id, err := hex.DecodeString(host[1:])
	return string(id), err
}

// Stats returns the figures of now.
func (f *Fetcher) Stats() FetcherStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.counts
	st.Peers = make(map[string]PeerStats, len(f.peers))
	for id, p := range f.peers {
		st.Peers[id] = p.counts
	}
	return st
}

// peerLocked returns what is known of a peer.
func (f *Fetcher) peerLocked(id string) *peer {
	p := f.peers[id]
	if p != nil {
		return p
	}
	if len(f.peers) >= mostPeersKnown {
		for other, p := range f.peers {
			if p.active == 0 && time.Now().After(p.until) {
				delete(f.peers, other)
				break
			}
		}
	}
	p = new(peer)
	f.peers[id] = p
	return p
}

// ready reports whether a peer may be asked at all.
func (f *Fetcher) ready(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !time.Now().Before(f.peerLocked(id).until)
}

// room reports whether a stream from the peer may begin. If take is true it does, and ends by leave.
func (f *Fetcher) room(id string, take bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.peerLocked(id)
	if f.active >= f.config.Streams || p.active >= f.config.PeerStreams || time.Now().Before(p.until) {
		return false
	}
	if take {
		f.active++
		p.active++
	}
	return true
}

// leave ends a stream and takes down how it went.
func (f *Fetcher) leave(id string, got int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.peerLocked(id)
	f.active--
	p.active = max(p.active-1, 0)
	p.counts.Received += got
	if err == nil {
		p.failures = 0
	}
	f.judgeLocked(p, err)
}

// judge takes down how a question was answered.
func (f *Fetcher) judge(id string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.judgeLocked(f.peerLocked(id), err)
}

const (
	firstPause   = 250 * time.Millisecond // without a peer that failed; it doubles
	longestPause = 10 * time.Second
	firstBan     = 5 * time.Second // without a peer that sent wrong bytes; it doubles
	longestBan   = 10 * time.Minute
)

// judgeLocked has a peer left alone for a while after it has failed. What is no fault of the peer's leaves it
// as it was. Only a blob makes good for failures: a peer may answer questions and never send anything.
func (f *Fetcher) judgeLocked(p *peer, err error) {
	pause := time.Duration(0)
	switch {
	case err == nil:
		return
	case errors.Is(err, errRefused), errors.Is(err, context.Canceled), descriptors.Exhausted(err), isLocal(err):
		return
	case errors.Is(err, blob.ErrCorrupt):
		p.counts.Corrupt++
		pause = doubled(firstBan, p.offences, longestBan)
		p.offences++
	case errors.Is(err, errStalled):
		p.counts.Stalled++
		pause = doubled(firstPause, p.failures, longestPause)
		p.failures++
	default:
		p.counts.Failed++
		pause = doubled(firstPause, p.failures, longestPause)
		p.failures++
	}
	if until := time.Now().Add(pause); until.After(p.until) {
		p.until = until
	}
}

func doubled(d time.Duration, times int, most time.Duration) time.Duration {
	return min(d<<min(times, 20), most)
}
