// Nodes of the tests in this package agree on keys without ML-KEM, which was a quarter of what their tens of
// thousands of handshakes cost. What these tests hold is the same with either. The nodes of farm, of farmtest
// and of internal/e2e use it, as nodes do.
//
//go:debug tlsmlkem=0

package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

func TestMain(m *testing.M) {
	ci.Beside(2) // they wait, for what nodes do in real time, for each other, and for the disk
	ci.LessGC()
	os.Exit(ci.Main(m))
}

// inRealTime lets a test in real time run beside others, unless the race detector is on. With it, simulated
// farms beside the test take all processor time for seconds, and no leader lasts.
func inRealTime(t *testing.T) {
	if !race.Enabled {
		t.Parallel()
	}
}

// testLogger logs to the test's output when TESTLOG is set.
func testLogger() *slog.Logger {
	if os.Getenv("TESTLOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// openTest opens a node on loopback, with the machine "kv". Unless it joins others it founds a farm at once.
// Otherwise it would listen for three seconds first.
func openTest(t *testing.T, c Config) *Node {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if len(c.Join) == 0 {
		c.Expect = 1
	}
	c.Machines, c.Logger = map[string]func() StateMachine{"kv": newKV}, recentLogger(t, c.Name)
	n, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close %s: %v", c.Name, err)
		}
	})
	return n
}

// waitFor polls a condition that nothing announces.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	for !ok() {
		if !sleep.For(ctx, 5*time.Millisecond) {
			ci.Latef(t, "waited in vain for %s", what)
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Slow: real nodes on real disks, started and stopped twice, beside all other tests.
func TestDurableFarmComesBack(t *testing.T) {
	inRealTime(t)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	ctx := within(t, 3*time.Minute)
	start := func() (nodes []*Node) {
		for i, dir := range dirs {
			c := Config{Name: fmt.Sprintf("n%d", i+1), Dir: dir}
			if i > 0 {
				c.Join = []string{nodes[0].Addr()}
			}
			nodes = append(nodes, openTest(t, c))
		}
		for _, n := range nodes {
			ci.Awaited(t, n.cfg.Name+" is ready", n.Ready(ctx))
		}
		return nodes
	}
	nodes := start()
	cluster := nodes[0].State().ClusterID
	for i, n := range nodes {
		for j := range 20 {
			_, _, err := n.Handle("kv").Propose(ctx, fmt.Appendf(nil, "append x %d", i*20+j))
			ci.Awaited(t, "a write", err)
		}
	}
	// it wrote the first of them, and the others the rest
	ci.Awaited(t, "a barrier", nodes[0].Handle("kv").Barrier(ctx))
	want := nodes[0].Handle("kv").Local().(*kv).Get("x")
	if n := strings.Count(want, ","); n != 60 {
		t.Fatalf("%d of 60 acknowledged writes are there: %s", n, want)
	}
	for _, n := range nodes {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	nodes = start() // every address is another one
	for _, n := range nodes {
		ci.Awaited(t, "a barrier", n.Handle("kv").Barrier(ctx))
		if got := n.Handle("kv").Local().(*kv).Get("x"); got != want {
			t.Errorf("%s came back with %q, want %q", n.cfg.Name, got, want)
		}
		if got := n.State().ClusterID; got != cluster {
			t.Errorf("cluster ID %s became %s", cluster, got)
		}
	}
}
