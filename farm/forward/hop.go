package forward

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

const (
	maxAttempts = 3
	dialTimeout = 3 * time.Second
	shunTime    = time.Second // a peer that could not be reached, or refused, is the last choice for so long
	bodyWait    = time.Minute // for the peer to ask for a body or refuse it; then it is sent, and no other peer can have it
)

// errNoPeer says that no peer took the request and none has started it.
var errNoPeer = errors.New("no peer can take the request")

// errBody says that the client's own body broke off: no peer is to blame.
var errBody = errors.New("request body")

// lostError says that a peer may have started a request whose answer never came.
type lostError struct{ err error }

func (e *lostError) Error() string { return "peer lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// hop knows the peers and sends requests to them. It is the http.RoundTripper under the gate's reverse proxy.
type hop struct {
	source    Peers
	cfg       Config
	transport *http.Transport // makes connections; pools and retries are our own
	dials     sync.WaitGroup  // of those under way
	room      *room           // for connections to all peers

	// hold is asked when nobody is left to be chosen: see Gate.hold.
	hold func(ctx context.Context, fresh <-chan struct{}, tried bool) (again bool)

	eligible atomic.Pointer[[]*peer] // who may be chosen now

	mu     sync.Mutex
	fresh  chan struct{}    // closed, and replaced, when eligible changes; guarded by mu
	peers  map[string]*peer // by NodeID; guarded by mu
	closed bool             // guarded by mu
}

func newHop(source Peers, cfg Config, hold func(context.Context, <-chan struct{}, bool) bool) *hop {
	h := &hop{source: source, cfg: cfg, hold: hold, room: ownRoom(), fresh: make(chan struct{}), peers: make(map[string]*peer)}
	h.eligible.Store(new([]*peer))
	h.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			id, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return dialLink(ctx, source, id)
		},
		DisableCompression:     true, // answers pass as they are
		ExpectContinueTimeout:  bodyWait,
		MaxResponseHeaderBytes: 16 << 20,
		WriteBufferSize:        32 << 10,
		ReadBufferSize:         32 << 10,
	}
	return h
}

// follow keeps the table of peers until ctx ends.
func (h *hop) follow(ctx context.Context) {
	for st := range h.source.Watch(ctx) {
		h.update(st)
	}
}

func (h *hop) update(st cluster.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	var eligible []*peer
	present := make(map[string]bool)
	for _, m := range st.Members {
		if m.ID == h.cfg.ID || m.Status != cluster.Alive {
			continue
		}
		present[m.ID] = true
		p := h.peers[m.ID]
		if p == nil {
			p = newPeer(m.ID, m.Name, h)
			h.peers[m.ID] = p
		}
		if m.Role == cluster.Ordinary && m.Tags[TagApp] == h.cfg.App && m.Tags[TagGate] == open.String() {
			eligible = append(eligible, p)
		}
	}
	if !slices.Equal(*h.eligible.Swap(&eligible), eligible) {
		close(h.fresh)
		h.fresh = make(chan struct{})
	}
	for id, p := range h.peers {
		if !present[id] {
			delete(h.peers, id)
			p.close()
		}
	}
}

func (h *hop) close() {
	h.mu.Lock()
	h.closed = true
	h.eligible.Store(new([]*peer))
	for _, p := range h.peers {
		p.close()
	}
	h.mu.Unlock()
	h.dials.Wait()
}

// anyPeer reports whether somebody could take a request.
func (h *hop) anyPeer() bool { return len(*h.eligible.Load()) > 0 }

// news returns what is closed when others may be chosen than now.
func (h *hop) news() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fresh
}

// pick chooses by the power of two choices: of two random peers the one with fewer of our requests. Peers that were just
// unreachable come last, and peers already tried not at all.
func (h *hop) pick(tried []*peer) *peer {
	var good, shunned []*peer
	now := time.Now()
	for _, p := range *h.eligible.Load() {
		switch {
		case slices.Contains(tried, p):
		case p.shunned(now):
			shunned = append(shunned, p)
		default:
			good = append(good, p)
		}
	}
	if len(good) == 0 {
		good = shunned
	}
	switch n := len(good); n {
	case 0:
		return nil
	case 1:
		return good[0]
	default:
		i := rand.IntN(n)
		j := (i + 1 + rand.IntN(n-1)) % n
		if good[j].inFlight.Load() < good[i].inFlight.Load() {
			i = j
		}
		return good[i]
	}
}

// RoundTrip sends req to a peer and returns its answer. It moves on to another peer as long as the request has provably
// not been started and its body is whole: the peer was not reached, not one byte was written to it, or it refused.
func (h *hop) RoundTrip(req *http.Request) (*http.Response, error) {
	x := exchangeOf(req)
	var tried []*peer
	var last error
	for {
		fresh := h.news() // before the choice, so that no change is missed
		p := h.pick(tried)
		if p == nil || len(tried) == maxAttempts {
			if !h.hold(req.Context(), fresh, len(tried) > 0) {
				break
			}
			tried = nil
			continue
		}
		tried = append(tried, p)
		attempt := x.attempt(req)
		res, started, err := p.roundTrip(attempt, x.nonce)
		if err == nil {
			return res, nil
		}
		if x.brokeOff(req.Context()) {
			return nil, fmt.Errorf("%w: %w", errBody, err)
		}
		if req.Context().Err() != nil {
			return nil, context.Cause(req.Context())
		}
		if started || !x.rewind() {
			return nil, &lostError{err}
		}
		last = err
		if errors.Is(err, errLine) {
			break // it has waited, or wastes what there is; that says nothing of the peer
		}
		p.shun(time.Now().Add(shunTime))
	}
	if last != nil {
		return nil, fmt.Errorf("%w: %w", errNoPeer, last)
	}
	return nil, errNoPeer
}
