package forward

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
)

const (
	maxAttempts = 3
	shunTime    = time.Second // a peer that could not be reached, or refused, is the last choice for so long
)

// errNoPeer says that no peer took the request and none has started it.
var errNoPeer = errors.New("no peer can take the request")

// hop knows the peers and sends requests to them.
type hop struct {
	source Peers
	cfg    Config
	room   *room // for connections to all peers

	// hold is asked when nobody is left to be chosen: see Gate.hold.
	hold func(ctx context.Context, fresh <-chan struct{}, tried bool) (again bool)

	eligible atomic.Pointer[[]*peer] // who may be chosen now

	mu     sync.Mutex
	fresh  chan struct{}    // closed, and replaced, when eligible changes; guarded by mu
	peers  map[string]*peer // by NodeID; guarded by mu
	closed bool             // guarded by mu
	ends   sync.WaitGroup   // of peers that have gone
}

func newHop(source Peers, cfg Config, hold func(context.Context, <-chan struct{}, bool) bool) *hop {
	h := &hop{source: source, cfg: cfg, hold: hold, room: ownRoom(), fresh: make(chan struct{}), peers: make(map[string]*peer)}
	h.eligible.Store(new([]*peer))
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
		p.old.Store(m.Tags[TagHop] == "")
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
			h.ends.Go(p.close)
		}
	}
}

func (h *hop) close() {
	h.mu.Lock()
	h.closed = true
	h.eligible.Store(new([]*peer))
	for _, p := range h.peers {
		h.ends.Go(p.close)
	}
	h.mu.Unlock()
	h.ends.Wait()
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
		case p.shunned(now) || p.lanes.Draining():
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

// send sends a request to a peer, which answers to w. It moves on to another peer as long as the request has provably not
// been started and its body is whole. errNoPeer says that there is no peer; then the outcome is the last one's.
func (h *hop) send(w http.ResponseWriter, r *http.Request, a *lane.Attempt) (lane.Outcome, error) {
	var tried []*peer
	var last lane.Outcome
	for {
		fresh := h.news() // before the choice, so that no change is missed
		p := h.pick(tried)
		if p == nil || len(tried) == maxAttempts {
			if !h.hold(r.Context(), fresh, len(tried) > 0) {
				break
			}
			tried = nil
			continue
		}
		tried = append(tried, p)
		a.Facts.Attempt++
		last = p.do(w, r, a)
		unstarted := last.State == lane.Unsent || last.State == lane.Refused
		if last.Err == nil || last.GaveUp || last.BodyFailed || last.Unreadable || !unstarted || !a.Upload.Whole() {
			return last, last.Err
		}
		p.shun(time.Now().Add(shunTime))
	}
	if last.Err != nil {
		return last, fmt.Errorf("%w: %w", errNoPeer, last.Err)
	}
	return last, errNoPeer
}
