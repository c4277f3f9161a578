package roster

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// What a node does once a second for all configured servers costs ten times as much in ten times the farm,
// not a hundred times.
func TestDirectoryIsLinear(t *testing.T) {
	fastest := func(size int) time.Duration {
		d, configured, best := New(time.Second), map[string]bool{}, time.Hour
		for i := range size {
			s := &Sighting{Gossip: fmt.Sprintf("n%d.r", i), Node: fmt.Sprintf("n%d", i), Addr: "somewhere",
				Status: Alive}
			d.Hear(s)
			configured[s.Server()] = true
		}
		for range 20 {
			began := time.Now()
			for server := range configured {
				d.Keep(wire.NodeOf(server))
				d.Applied(wire.NodeOf(server)+".r", server, 1)
			}
			d.Forget(configured, time.Now())
			d.All()
			best = min(best, time.Since(began))
		}
		return best
	}
	small, large := fastest(40), fastest(400)
	if large > 40*small {
		ci.Latef(t, "40 nodes take %v, 400 take %v", small, large)
	}
}

// Of the runs of a node the newest that lives counts, whichever was heard first. Nothing is left of a node
// that is forgotten.
func TestNewestRun(t *testing.T) {
	d, now := New(time.Second), time.Now()
	for _, s := range []*Sighting{
		{Gossip: "n.2", Node: "n", Status: Alive, Meta: Meta{Start: 2}},
		{Gossip: "n.1", Node: "n", Status: Alive, Meta: Meta{Start: 1}},
		{Gossip: "n.3", Node: "n", Status: Dead, Meta: Meta{Start: 3}},
		{Gossip: "m.1", Node: "m", Status: Dead, Meta: Meta{Start: 3}},
	} {
		s.At = now
		d.Hear(s)
	}
	if s := d.Get("n"); s == nil || s.Gossip != "n.2" {
		t.Errorf("%+v counts", s)
	}
	d.Forget(nil, now.Add(2*time.Hour))
	if d.Get("m") != nil || d.Get("n") == nil || len(d.All()) != 1 || len(d.heard) != 2 || len(d.runs) != 1 {
		t.Errorf("after an hour: %v", d.heard)
	}
}
