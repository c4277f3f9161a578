package farmtest_test

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

var (
	seedFlag    = flag.Uint64("farmtest.seed", 0, "`seed` of the simulation; 0 = WEBFARM_SEED, or the usual one")
	minutesFlag = flag.Int("farmtest.minutes", 0, "how many `minutes` of the farm's time the simulation takes; 0 = WEBFARM_MINUTES, or 5")
)

// TestSimulation has visitors write and read at random while nodes are killed, stopped, moved and cut off from each other
// at random. Each visitor knows what the farm told it and holds the farm to it; see visitor. The seed decides on the
// farm and what is done to it, and when; which goroutine runs first remains chance.
// Slow: what it finds depends on how much it does.
func TestSimulation(t *testing.T) {
	t.Parallel()
	seed, minutes := simulationSeed(t), simulationMinutes(t)
	again := fmt.Sprintf("repeat with: make sim SEED=%d MINUTES=%d PKG=./farm/farmtest", seed, minutes)
	t.Log(again)
	t.Cleanup(func() {
		if t.Failed() {
			t.Error(again) // last, where a log that was cut off at its beginning still has it
		}
	})
	rnd := rand.New(rand.NewPCG(seed, 0))
	c := farmtest.Config{Nodes: 3 + 2*rnd.IntN(2), Durable: rnd.IntN(2) == 0, Handler: application}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		s := &simulation{t: t, farm: f, rnd: rnd, durable: c.Durable, begin: time.Now()}
		s.log("%d nodes, durable %v", c.Nodes, c.Durable)
		if _, err := f.Nodes[0].Farm().Cluster().Finalize(t.Context()); err != nil { // so that copies of the state are compared
			t.Fatal(err)
		}
		visitors := s.run(time.Duration(minutes) * time.Minute)
		for _, v := range visitors {
			v.everywhere(f)
			for _, n := range f.Nodes {
				v.mustWrite(n)
			}
			v.everywhere(f)
			t.Logf("%s wrote %d notes, %d were acknowledged; it left %d sessions", v.name, v.count, v.told, len(v.ended))
			if v.told < v.count/4 {
				t.Errorf("the farm hardly served %s", v.name)
			}
		}
	})
}

// simulationSeed returns the seed asked for. Without one, plain `go test` takes the same each time, `make sim`, which says
// for how many minutes, a random one.
func simulationSeed(t *testing.T) uint64 {
	env := os.Getenv("WEBFARM_SEED")
	seed, err := strconv.ParseUint(cmp.Or(env, "0"), 10, 64)
	if err != nil {
		t.Fatalf("WEBFARM_SEED is %q: %v", env, err)
	}
	usual := uint64(1)
	if os.Getenv("WEBFARM_MINUTES") != "" {
		usual = rand.Uint64()
	}
	return cmp.Or(*seedFlag, seed, usual)
}

func simulationMinutes(t *testing.T) int {
	env := os.Getenv("WEBFARM_MINUTES")
	n, err := strconv.Atoi(cmp.Or(env, "0"))
	if err != nil {
		t.Fatalf("WEBFARM_MINUTES is %q: %v", env, err)
	}
	usual := 5
	if race.Enabled {
		usual = 2 // which take as long
	}
	return cmp.Or(*minutesFlag, n, usual)
}

// simulation is the one who does things to the farm.
type simulation struct {
	t       *testing.T
	farm    *farmtest.Farm
	rnd     *rand.Rand
	durable bool
	begin   time.Time
	lost    bool // a node in memory has been lost since the farm was settled: no other one may be
}

func (s *simulation) log(format string, args ...any) {
	s.t.Logf("%8.3fs %s", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
}

// run lets d pass and returns the visitors, who have gone by then, with the farm at rest.
func (s *simulation) run(d time.Duration) (visitors []*visitor) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		v, rnd := newVisitor(s.t, s.farm, string(rune('a'+i))), rand.New(rand.NewPCG(s.rnd.Uint64(), 1))
		visitors = append(visitors, v)
		wg.Go(func() { v.roam(s.farm, rnd, stop) })
	}
	for time.Since(s.begin) < d {
		for range 1 + s.rnd.IntN(5) {
			s.fault()
			pass(s.between(50*time.Millisecond, 15*time.Second))
		}
		s.repair()
	}
	close(stop)
	wg.Wait()
	s.farm.Settle()
	return visitors
}

func (s *simulation) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.rnd.Int64N(int64(high-low)))
}

func (s *simulation) anyNode() *farmtest.Node { return s.farm.Nodes[s.rnd.IntN(len(s.farm.Nodes))] }

// fault does one thing to the farm.
func (s *simulation) fault() {
	n := s.anyNode()
	switch s.rnd.IntN(8) {
	case 0, 1:
		s.end(n, "kill", n.Kill)
	case 2:
		s.end(n, "stop", n.Stop)
	case 3:
		s.end(n, "move", n.Move)
	case 4:
		s.end(n, "restart", n.Restart)
	case 5:
		var groups [2][]*farmtest.Node
		for _, n := range s.farm.Nodes {
			i := s.rnd.IntN(2)
			groups[i] = append(groups[i], n)
		}
		s.log("partition %v", groups)
		s.farm.Partition(groups[:]...)
	case 6:
		if to := s.anyNode(); to != n {
			s.log("cut %v -> %v", n, to)
			s.farm.Cut(n, to)
		}
	case 7:
		s.log("heal")
		s.farm.Heal()
	}
}

// end ends the life of a node, if the farm can bear it.
func (s *simulation) end(n *farmtest.Node, how string, do func()) {
	if !s.durable && s.lost {
		return
	}
	s.lost = true
	s.log("%s %v", how, n)
	do()
}

// repair ends all faults, and waits until the farm is well.
func (s *simulation) repair() {
	s.log("repair")
	s.farm.Heal()
	for _, n := range s.farm.Nodes {
		if !n.Up() {
			n.Restart()
		}
	}
	s.farm.Settle()
	s.lost = false
}

// roam writes, reads and leaves at random nodes until stop.
func (v *visitor) roam(f *farmtest.Farm, rnd *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rnd.IntN(400)) * time.Millisecond):
		}
		n := f.Nodes[rnd.IntN(len(f.Nodes))]
		switch p := rnd.IntN(100); {
		case p < 3 || len(v.seen) > 60:
			v.leave(f, n)
		case p < 60:
			v.write(n)
		default:
			v.read(n)
		}
	}
}
