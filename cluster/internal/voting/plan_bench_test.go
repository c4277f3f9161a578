package voting

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// crowd returns what the leader of a farm of so many nodes knows, all of which are configured.
func crowd(size int) *Situation {
	s := &Situation{Self: "n0000.i", CaughtUp: map[string]bool{}, MaxVoters: 5, Level: 1,
		DeadAfter: time.Minute}
	for i := range size {
		id := fmt.Sprintf("n%04d", i)
		s.Nodes = append(s.Nodes, Node{ID: id, Server: id + ".i", Boot: 1, Alive: true, Ordinary: true,
			MaxProtocol: 1})
		s.Servers = append(s.Servers, Server{ID: id + ".i", Node: id, Votes: i < 5})
		s.CaughtUp[id+".i"] = i >= 5
	}
	return s
}

// BenchmarkPlan measures one plan of the leader: what it costs grows about as the farm does.
func BenchmarkPlan(b *testing.B) {
	for _, size := range []int{20, 100, 300} {
		s := crowd(size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				s.byNode, s.byID = nil, nil // each look begins with a situation of its own
				s.Plan()
			}
		})
	}
}

// Ten times the farm costs about ten times the work, not a hundred times.
func TestPlanIsLinear(t *testing.T) {
	fastest := func(size int) time.Duration {
		s, best := crowd(size), time.Hour
		for range 20 {
			s.byNode, s.byID = nil, nil
			began := time.Now()
			s.Plan()
			best = min(best, time.Since(began))
		}
		return best
	}
	if small, large := fastest(400), fastest(4000); large > 40*small {
		ci.Latef(t, "400 nodes take %v, 4000 take %v", small, large)
	}
}
