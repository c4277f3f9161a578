package roster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Directory is what this node has heard of others: where a node is, and whether it is alive. Raft's
// configuration is the truth for state; this is for routing only.
type Directory struct {
	mu    sync.Mutex
	heard map[string]*Sighting // by gossip name: one run of one node
	runs  map[string]runs      // the same by NodeID
	saved map[string]string    // NodeID -> address of configured servers, kept whatever gossip says
	most  map[string][]height  // server ID -> what it was heard to have applied, rising
	at    map[string]string    // server ID -> where it was alive
	ended map[string]bool      // server IDs that have said, after the end of their Raft, that they stop
	gone  departed             // runs that have said goodbye
	over  departed             // runs of which an operator has said that they are over

	// patience is how long lower heights are kept: nobody waits longer for the answer to what was said before
	// the news.
	patience time.Duration
}

// runs are what was heard of the runs of one node, by gossip name.
type runs map[string]*Sighting

// height is how far a server was heard to be, and when that was news.
type height struct {
	index uint64
	at    time.Time
}

// New returns a directory that knows nobody. What was heard of how far a server is counts against answers
// that come within patience.
func New(patience time.Duration) *Directory {
	return &Directory{patience: patience, heard: map[string]*Sighting{}, runs: map[string]runs{},
		saved: map[string]string{}, most: map[string][]height{},
		at: map[string]string{}, ended: map[string]bool{}, gone: newDeparted(),
		over: newDeparted()}
}

// Hear takes in the news of a run and returns what was known of it before.
func (d *Directory) Hear(s *Sighting) (before *Sighting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before = d.heard[s.Gossip]
	if before != nil {
		s.Applied = max(s.Applied, before.Applied)
	}
	d.setLocked(s)
	if s.Status == Alive {
		d.at[s.Server()] = s.Addr
	}
	if s.Stopped {
		d.ended[s.Server()] = true
	}
	if s.SaidGoodbye() {
		d.gone.add(s.Gossip)
	}
	d.forgetOldRunsLocked(s.Node)
	return before
}

// forgetOldRunsLocked keeps, of the runs of a node that are over, the newest only.
func (d *Directory) forgetOldRunsLocked(node string) {
	newest := d.newestLocked(node)
	for _, s := range d.runs[node] {
		if s != newest && s.Status != Alive {
			d.dropLocked(s)
		}
	}
}

func (d *Directory) setLocked(s *Sighting) {
	if before := d.heard[s.Gossip]; before != nil && before.Node != s.Node {
		d.dropLocked(before)
	}
	d.heard[s.Gossip] = s
	if d.runs[s.Node] == nil {
		d.runs[s.Node] = runs{}
	}
	d.runs[s.Node][s.Gossip] = s
}

func (d *Directory) dropLocked(s *Sighting) {
	delete(d.heard, s.Gossip)
	if delete(d.runs[s.Node], s.Gossip); len(d.runs[s.Node]) == 0 {
		delete(d.runs, s.Node)
	}
}

// Applied notes how far a run was heard to be, as the server that it says to be.
func (d *Directory) Applied(gossip, server string, index uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.heard[gossip]; s != nil && s.Applied < index {
		c := *s
		c.Applied = index
		d.setLocked(&c)
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

// Reached returns the highest index that a server was heard to have applied.
func (d *Directory) Reached(server string) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.most[server]; len(h) > 0 {
		return h[len(h)-1].index
	}
	return 0
}

// Forgot returns an error if a log ends before what its server was heard to have applied: it has forgotten
// what others may count on, for its disk was set back. Of what h says only this is known, that it was said
// after a time; it may be read long after, and what was heard meanwhile proves nothing, since a log that is
// alive goes on.
func (d *Directory) Forgot(h wire.Hello, after time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.most[h.Source] {
		if m.at.Before(after) && h.Last < m.index {
			return fmt.Errorf("%w: %s has a log up to entry %d and had applied %d", wire.ErrSetBack, h.Source,
				h.Last, m.index)
		}
	}
	return nil
}

// Forget drops what is known of nodes that are neither alive nor configured, an hour after the last news of
// them.
func (d *Directory) Forget(configured map[string]bool, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.heard {
		if s.Status != Alive && !configured[s.Server()] && now.Sub(s.At) > time.Hour {
			d.dropLocked(s)
		}
	}
	for server := range d.most {
		if s := d.newestLocked(wire.NodeOf(server)); !configured[server] &&
			(s == nil || s.Server() != server) {
			delete(d.most, server)
		}
	}
	for server := range d.at {
		if s := d.newestLocked(wire.NodeOf(server)); !configured[server] &&
			(s == nil || s.Server() != server) {
			delete(d.at, server)
			delete(d.ended, server)
		}
	}
}

// Where returns the address at which a server was alive, "" if it never was, and whether it has said that it
// is gone.
func (d *Directory) Where(server string) (addr string, ended bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[server], d.ended[server]
}

// newestLocked returns the run of a node that counts: the one alive that started last, else the one that
// started last.
func (d *Directory) newestLocked(node string) *Sighting {
	var best *Sighting
	for _, s := range d.runs[node] {
		if best == nil || newer(s, best) {
			best = s
		}
	}
	return best
}

// Get returns the run of a node that counts, nil if nothing was heard of it.
func (d *Directory) Get(node string) *Sighting {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.newestLocked(node)
}

// Run returns what was heard of one run, by its gossip name; nil if nothing, or not any more.
func (d *Directory) Run(gossip string) *Sighting {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heard[gossip]
}

// All returns the newest sighting of each node.
func (d *Directory) All() []*Sighting {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]*Sighting, 0, len(d.runs))
	for node := range d.runs {
		out = append(out, d.newestLocked(node))
	}
	slices.SortFunc(out, func(a, b *Sighting) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// Rivals returns every run that is alive and claims name, or to be node, but for the run called self.
func (d *Directory) Rivals(name, node, self string) (out []*Sighting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, gossip := range slices.Sorted(maps.Keys(d.heard)) {
		if s := d.heard[gossip]; (s.Name == name || s.Node == node) && s.Gossip != self && s.Status == Alive {
			out = append(out, s)
		}
	}
	return out
}

// Contested returns, by gossip name, the live runs whose name or NodeID another live run elsewhere claims as
// well: one of the two is about to give up.
func (d *Directory) Contested() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	claims := map[string][]*Sighting{} // by what is claimed
	for _, s := range d.heard {
		if s.Status == Alive {
			claims["name "+s.Name] = append(claims["name "+s.Name], s)
			claims["node "+s.Node] = append(claims["node "+s.Node], s)
		}
	}
	out := map[string]bool{}
	for _, runs := range claims {
		if !slices.ContainsFunc(runs, func(s *Sighting) bool { return s.Addr != runs[0].Addr }) {
			continue
		}
		for _, s := range runs {
			out[s.Gossip] = true
		}
	}
	return out
}

// Addr returns where a node was seen last, "" if never.
func (d *Directory) Addr(node string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.newestLocked(node); s != nil {
		return s.Addr
	}
	return d.saved[node]
}

// Keep remembers the address of a configured server's node, so that it is known whatever gossip says later,
// and returns it, "" if it never was known.
func (d *Directory) Keep(node string) string {
	addr := d.Addr(node)
	if addr != "" {
		d.KeepAt(node, addr)
	}
	return addr
}

// KeepAt remembers an address of a node as Keep does.
func (d *Directory) KeepAt(node, addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.saved[node] = addr
}

// KeepsAny reports whether the address of any configured server is kept.
func (d *Directory) KeepsAny() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.saved) > 0
}
