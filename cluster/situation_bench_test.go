package cluster

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
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
				n.situation()
			}
		})
		b.Run(fmt.Sprintf("State/%d", size), func(b *testing.B) {
			for b.Loop() {
				n.State()
			}
		})
	}
}

// Ten times the farm costs about ten times the work, not a hundred times.
func TestControllerIsLinear(t *testing.T) {
	fastest := func(size int) time.Duration {
		n := crowd(t, size)
		best := time.Hour
		for range 20 {
			began := time.Now()
			n.situation()
			n.State()
			best = min(best, time.Since(began))
		}
		return best
	}
	small, large := fastest(40), fastest(400)
	if large > 40*small {
		t.Errorf("40 nodes take %v, 400 take %v", small, large)
	}
}
