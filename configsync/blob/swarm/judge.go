package swarm

import (
	"context"
	"errors"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// peer is what is known of a node from all that was fetched. Guarded by Fetcher.mu.
type peer struct {
	active   int       // streams
	until    time.Time // it is not asked before
	failures int       // since it last worked
	offences int       // wrong bytes that it has sent
	counts   PeerStats
}

const mostPeersKnown = 1000

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
