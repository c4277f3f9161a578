package cluster

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
)

// TestControlRoundIsLinear counts what one round of the leader's control of the voters allocates: what is
// done once for each node grows with the number of nodes, and what is done for each pair of nodes grows with
// its square.
func TestControlRoundIsLinear(t *testing.T) {
	const few, times = 40, 10
	var objects, bytes [2]float64
	for k, size := range []int{few, few * times} {
		n := crowd(t, size)
		ct := newControlling(newTenure(n.instance(), 1), nil, nil)
		defer ct.cancel()
		servers := make([]voting.Server, size)
		for i := range servers {
			id := fmt.Sprintf("n%04d", i)
			servers[i] = voting.Server{ID: id + ".i", Node: id, Votes: i < 5}
			ct.in.leading.unanswered.add(id+".i", size)
		}
		silent := map[string]time.Time{}
		seen := map[string]uint64{}
		looked := 0
		round := func() {
			n.leveling.look()
			s := n.members.situation()
			s.Servers, s.MaxVoters, s.Level = servers, 5, 0
			s.Nodes = s.Nodes[:len(s.Nodes)-size/10] // some are not heard of
			s.Strange = func(string) bool { looked++; return false }
			s.Left, s.DeadAfter = ct.letGoSoFar(), time.Hour
			s.Silent = ct.silence(s, silent)
			s.CaughtUp = ct.caughtUp(s, seen)
			s.Plan()
		}
		round()
		if len(silent) < size/20 || looked < size || looked > 2*size {
			t.Errorf("of %d nodes %d are silent, and %d were looked at", size, len(silent), looked)
		}
		var before, after runtime.MemStats
		const rounds = 10
		runtime.ReadMemStats(&before)
		for range rounds {
			round()
		}
		runtime.ReadMemStats(&after)
		objects[k] = float64(after.Mallocs-before.Mallocs) / rounds
		bytes[k] = float64(after.TotalAlloc-before.TotalAlloc) / rounds
	}
	if objects[1] > 2*times*objects[0] || bytes[1] > 2*times*bytes[0] {
		t.Errorf("a round at %d and at %d nodes allocates %.0f objects of %.0f bytes", few, few*times, objects,
			bytes)
	}
}
