package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

func ready(t *testing.T, nodes ...*Node) {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	for _, n := range nodes {
		ci.Awaited(t, fmt.Sprintf("%s, which sees %+v", n.cfg.Name, n.State()), n.Ready(ctx))
	}
}

// eventually waits until a node's state meets a condition.
func eventually(t *testing.T, n *Node, what string, ok func(State) bool) {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	for s := range n.Watch(ctx) {
		if ok(s) {
			return
		}
	}
	what = fmt.Sprintf("%s never saw that %s; it sees %+v", n.cfg.Name, what, n.State())
	ci.Awaited(t, what, ctx.Err())
	t.Fatal(what) // the node has ended
}

func propose(t *testing.T, n *Node, cmd string) string {
	t.Helper()
	_, v, err := n.Handle("kv").Propose(within(t, 2*time.Minute), []byte(cmd))
	ci.Awaited(t, fmt.Sprintf("%s: %q", n.cfg.Name, cmd), err)
	return string(v)
}

func local(n *Node, k string) string { return n.Handle("kv").Local().(*kv).Get(k) }

func TestDirInUse(t *testing.T) {
	dir := t.TempDir()
	openTest(t, Config{Dir: dir})
	began := time.Now()
	_, err := Open(t.Context(), Config{Dir: dir, Logger: testLogger()})
	if !errors.Is(err, disk.ErrInUse) {
		t.Errorf("a second node on the directory: %v", err)
	}
	if d := time.Since(began); d > 15*time.Second { // it waits for nothing
		ci.Latef(t, "it took %v to say so", d)
	}
}

// A log without the file that says whose it is belongs to nobody: a node that took it would vote under a new
// name, with what another one has promised.
func TestLogWithoutIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd [name")
	c := Config{Dir: dir, Expect: 1, Machines: map[string]func() StateMachine{"kv": newKV},
		Logger: testLogger()}
	n, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, n)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "identity")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if n, err := Open(t.Context(), c); err == nil {
		n.Close()
		t.Error("it was taken for a node's own")
	} else if !strings.Contains(err.Error(), "says whose it is") || !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	ready(t, openTest(t, c))
}

func TestTags(t *testing.T) {
	t.Parallel()
	a := openTest(t, Config{Name: "a", Tags: map[string]string{"app": "shop"}})
	ready(t, a)
	b := openTest(t, Config{Name: "b", Join: []string{a.Addr()}, Version: "1.2"})
	ready(t, b)
	if err := a.SetTag("http", "127.0.0.1:8080"); err != nil {
		t.Fatal(err)
	}
	eventually(t, b, "a's tags arrived", func(s State) bool {
		m, _ := s.Member(a.ID())
		return m.Tags["http"] == "127.0.0.1:8080" && m.Tags["app"] == "shop"
	})
	if err := a.SetTag("big", string(make([]byte, 600))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a tag of 600 bytes: %v, want ErrTooLarge", err)
	}
	eventually(t, a, "b is an ordinary member", func(s State) bool {
		m, _ := s.Member(b.ID())
		return m.Version == "1.2" && m.Name == "b" && m.Status == roster.Alive && m.Vote == Voter
	})
}
