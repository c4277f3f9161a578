package cluster

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// directory is what this node has heard of others: where a node is, and whether it is alive. Raft's configuration is the
// truth for state; this is for routing only.
type directory struct {
	mu    sync.Mutex
	heard map[string]*sighting // by gossip name: one run of one node
	saved map[string]string    // NodeID -> address of configured servers, kept whatever gossip says
	most  map[string][]height  // server ID -> what it was heard to have applied, rising
	at    map[string]string    // server ID -> where it was alive
	ended map[string]bool      // server IDs that have said, after the end of their Raft, that they stop
	gone  departed             // runs that have said goodbye

	// patience is how long lower heights are kept: nobody waits longer for the answer to what was said before the news.
	patience time.Duration
}

// height is how far a server was heard to be, and when that was news.
type height struct {
	index uint64
	at    time.Time
}

// sighting is the last that was heard of one run of a node. It is replaced, never changed, so that readers may keep it.
type sighting struct {
	gossip  string // gossip name: NodeID.run
	node    string // NodeID
	addr    string
	status  string // one of the statuses
	applied uint64
	at      time.Time // of this news
	meta
}

func (s *sighting) server() string { return wire.ServerID(s.node, s.incarnation) }

// saidGoodbye reports whether a run said that it ends, and did.
func (s *sighting) saidGoodbye() bool { return s.status == stopped || s.status == left }

// The statuses of a run.
const (
	alive   = "alive"
	dead    = "dead"    // it does not answer; gossip cannot know whether it runs
	stopped = "stopped" // it said that it stops, and is to come back, as far as is known
	left    = "left"    // it said that it stops, and has left the farm for good
)

// newDirectory returns one that knows nobody. What was heard of how far a server is counts against answers that come
// within patience.
func newDirectory(patience time.Duration) *directory {
	return &directory{patience: patience, heard: map[string]*sighting{}, saved: map[string]string{}, most: map[string][]height{},
		at: map[string]string{}, ended: map[string]bool{}, gone: newDeparted()}
}

// hear takes in the news of a run and returns what was known of it before.
func (d *directory) hear(s *sighting) (before *sighting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before = d.heard[s.gossip]
	if before != nil {
		s.applied = max(s.applied, before.applied)
	}
	d.heard[s.gossip] = s
	if s.status == alive {
		d.at[s.server()] = s.addr
	}
	if s.stopped {
		d.ended[s.server()] = true
	}
	if s.saidGoodbye() {
		d.gone.add(s.gossip)
	}
	d.forgetOldRunsLocked(s.node)
	return before
}

// forgetOldRunsLocked keeps, of the runs of a node that are over, the newest only.
func (d *directory) forgetOldRunsLocked(node string) {
	newest := d.newestLocked(node)
	for name, s := range d.heard {
		if s.node == node && s != newest && s.status != alive {
			delete(d.heard, name)
		}
	}
}

// applied notes how far a run was heard to be, as the server that it says to be.
func (d *directory) applied(gossip, server string, index uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.heard[gossip]; s != nil && s.applied < index {
		c := *s
		c.applied = index
		d.heard[gossip] = &c
	}
	h, now := d.most[server], time.Now()
	if len(h) > 0 && index <= h[len(h)-1].index {
		return
	}
	for len(h) > 1 && now.Sub(h[1].at) > d.patience {
		h = h[1:]
	}
	d.most[server] = append(h, height{index, now})
}

// reached returns the highest index that a server was heard to have applied.
func (d *directory) reached(server string) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.most[server]; len(h) > 0 {
		return h[len(h)-1].index
	}
	return 0
}

// forgot returns an error if a log ends before what its server was heard to have applied: it has forgotten what others may
// count on, for its disk was set back. Of what h says only this is known, that it was said after a time; it may be read long
// after, and what was heard meanwhile proves nothing, since a log that is alive goes on.
func (d *directory) forgot(h wire.Hello, after time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.most[h.Source] {
		if m.at.Before(after) && h.Last < m.index {
			return fmt.Errorf("%w: %s has a log up to entry %d and had applied %d", wire.ErrSetBack, h.Source, h.Last, m.index)
		}
	}
	return nil
}

// forget drops what is known of nodes that are neither alive nor configured, an hour after the last news of them.
func (d *directory) forget(configured map[string]bool, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, s := range d.heard {
		if s.status != alive && !configured[s.server()] && now.Sub(s.at) > time.Hour {
			delete(d.heard, name)
		}
	}
	for server := range d.most {
		if s := d.newestLocked(wire.NodeOf(server)); !configured[server] && (s == nil || s.server() != server) {
			delete(d.most, server)
		}
	}
	for server := range d.at {
		if s := d.newestLocked(wire.NodeOf(server)); !configured[server] && (s == nil || s.server() != server) {
			delete(d.at, server)
			delete(d.ended, server)
		}
	}
}

// where returns the address at which a server was alive, "" if it never was, and whether it has said that it is gone.
func (d *directory) where(server string) (addr string, ended bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[server], d.ended[server]
}

// newestLocked returns the run of a node that counts: the one alive that started last, else the one that started last.
func (d *directory) newestLocked(node string) *sighting {
	var best *sighting
	for _, s := range d.heard {
		if s.node == node && (best == nil || newer(s, best)) {
			best = s
		}
	}
	return best
}

func newer(a, b *sighting) bool {
	if x, y := a.status == alive, b.status == alive; x != y {
		return x
	}
	if a.start != b.start {
		return a.start > b.start
	}
	return a.gossip > b.gossip
}

func (d *directory) get(node string) *sighting {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.newestLocked(node)
}

// all returns the newest sighting of each node.
func (d *directory) all() []*sighting {
	d.mu.Lock()
	defer d.mu.Unlock()
	best := map[string]*sighting{}
	for _, s := range d.heard {
		if b := best[s.node]; b == nil || newer(s, b) {
			best[s.node] = s
		}
	}
	out := make([]*sighting, 0, len(best))
	for _, node := range slices.Sorted(maps.Keys(best)) {
		out = append(out, best[node])
	}
	return out
}

// rivals returns every run that is alive and claims name, or to be node, but for the run called self.
func (d *directory) rivals(name, node, self string) (out []*sighting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, gossip := range slices.Sorted(maps.Keys(d.heard)) {
		if s := d.heard[gossip]; (s.name == name || s.node == node) && s.gossip != self && s.status == alive {
			out = append(out, s)
		}
	}
	return out
}

// contested returns, by gossip name, the live runs whose name or NodeID another live run elsewhere claims as well: one of the
// two is about to give up.
func (d *directory) contested() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	claims := map[string][]*sighting{} // by what is claimed
	for _, s := range d.heard {
		if s.status == alive {
			claims["name "+s.name] = append(claims["name "+s.name], s)
			claims["node "+s.node] = append(claims["node "+s.node], s)
		}
	}
	out := map[string]bool{}
	for _, runs := range claims {
		if !slices.ContainsFunc(runs, func(s *sighting) bool { return s.addr != runs[0].addr }) {
			continue
		}
		for _, s := range runs {
			out[s.gossip] = true
		}
	}
	return out
}

// addr returns where a node was seen last, "" if never.
func (d *directory) addr(node string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.newestLocked(node); s != nil {
		return s.addr
	}
	return d.saved[node]
}

// keep remembers the address of a configured server's node, so that it is known whatever gossip says later, and returns
// it, "" if it never was known.
func (d *directory) keep(node string) string {
	addr := d.addr(node)
	if addr != "" {
		d.keepAt(node, addr)
	}
	return addr
}

// keepAt remembers an address of a node as keep does.
func (d *directory) keepAt(node, addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.saved[node] = addr
}
