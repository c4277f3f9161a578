package forward

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/pick"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// hop knows the peers and sends requests to them.
type hop struct {
	source Peers
	cfg    Config
	room   *room // for connections to all peers

	set      *pick.Set
	budget   *retry.Budget
	suspects *retry.Suspects

	// hold is asked when nobody is left to be chosen. It reports whether to look at the peers again: see
	// Gate.hold.
	hold func(ctx context.Context, fresh <-chan struct{}, tried bool) bool

	eligible atomic.Pointer[[]*peer] // who may be chosen now

	mu     sync.Mutex
	fresh  broadcast.Signal // eligible has changed
	peers  map[string]*peer // by NodeID; guarded by mu
	closed bool             // guarded by mu
	ends   sync.WaitGroup   // of peers that have gone
}

func newHop(source Peers, cfg Config, hold func(context.Context, <-chan struct{}, bool) bool) *hop {
	h := &hop{
		source:   source,
		cfg:      cfg,
		room:     ownRoom(),
		set:      pick.NewSet(cfg.now, nil),
		budget:   retry.NewBudget(cfg.now),
		suspects: retry.NewSuspects(cfg.now),
		hold:     hold,
		peers:    make(map[string]*peer),
	}
	h.eligible.Store(new([]*peer))
	h.set.Told = h.tellEjection
	return h
}

// tellEjection writes to the log that a peer gets no requests for a while, or gets some again.
func (h *hop) tellEjection(p *pick.Peer, out time.Duration) {
	name := p.Of().(*peer).name
	if out == 0 {
		h.cfg.Logger.Info("a node answers again and is given requests", "peer", name)
		return
	}
	h.cfg.Logger.Warn("a node failed too often and is given no requests for a while", "peer", name, "for", out,
		"advice", "its own log says why; look also at the network between the two nodes")
}

// tellUnheard writes to the log that what was sent to a peer was lost, over so many connections.
func (h *hop) tellUnheard(p *peer, connections int) {
	h.cfg.Logger.Warn("what is sent to a node is lost again and again", "peer", p.name, "connections", connections,
		"advice", lane.PathAdvice)
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
	h.offer(eligible)
	if !slices.Equal(*h.eligible.Swap(&eligible), eligible) {
		h.fresh.Notify()
	}
	for id, p := range h.peers {
		if !present[id] {
			delete(h.peers, id)
			h.ends.Go(p.close)
		}
	}
}

// offer says which peers are to be chosen from.
func (h *hop) offer(eligible []*peer) {
	var offered []*pick.Peer
	for _, p := range eligible {
		offered = append(offered, p.pick)
	}
	h.set.Offer(offered)
}

func (h *hop) close() {
	h.mu.Lock()
	h.closed = true
	h.eligible.Store(new([]*peer))
	h.offer(nil)
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
	return h.fresh.Next()
}
