package cluster

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// crowd returns a node that has heard of so many others.
func crowd(t testing.TB, size int) *Node {
	t.Helper()
	n, err := Open(t.Context(), Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	for i := range size {
		id := fmt.Sprintf("n%04d", i)
		n.directory.Hear(&roster.Sighting{Gossip: id + ".r", Node: id, Addr: "addr of " + id,
			Status: roster.Alive,
			Meta: roster.Meta{Incarnation: "i", Boot: 1, Start: uint64(i), Name: id,
				MaxProtocol: wire.ProtocolMax, MinProtocol: 1}})
	}
	return n
}

// BenchmarkController measures one look of the leader at its farm: what it costs grows about as the farm
// does.
func BenchmarkController(b *testing.B) {
	for _, size := range []int{20, 100, 300} {
		n := crowd(b, size)
		b.Run(fmt.Sprintf("situation/%d", size), func(b *testing.B) {
			for b.Loop() {
				n.members.situation()
			}
		})
		b.Run(fmt.Sprintf("State/%d", size), func(b *testing.B) {
			for b.Loop() {
				n.State()
			}
		})
	}
}

// Ten looks at a farm cost about as much as one at a farm of ten times the size, not a tenth. Both take as
// long by the clock, so that a busy machine interrupts the one as often as the other.
func TestControllerIsLinear(t *testing.T) {
	if race.Enabled {
		t.Skip("measures processor time")
	}
	look := func(n *Node, times int) time.Duration {
		began := time.Now()
		for range times {
			n.members.situation()
			n.State()
		}
		return time.Since(began)
	}
	few, many := crowd(t, 40), crowd(t, 400)
	small, large := time.Hour, time.Hour
	for range 20 {
		small, large = min(small, look(few, 10)), min(large, look(many, 1))
	}
	if large > 4*small {
		ci.Latef(t, "ten looks at 40 nodes take %v, one at 400 takes %v", small, large)
	}
}
