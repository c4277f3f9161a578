package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
)

func ready(t *testing.T, nodes ...*Node) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for _, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			t.Fatalf("%s: %v; it sees %+v", n.cfg.Name, err, n.State())
		}
	}
}

// eventually waits until a node's state meets a condition.
func eventually(t *testing.T, n *Node, what string, ok func(State) bool) {
	t.Helper()
	for s := range n.Watch(within(t, 30*time.Second)) {
		if ok(s) {
			return
		}
	}
	t.Fatalf("%s never saw that %s; it sees %+v", n.cfg.Name, what, n.State())
}

func propose(t *testing.T, n *Node, cmd string) string {
	t.Helper()
	_, v, err := n.Handle("kv").Propose(within(t, 20*time.Second), []byte(cmd))
	if err != nil {
		t.Fatalf("%s: %q: %v", n.cfg.Name, cmd, err)
	}
	return string(v)
}

func local(n *Node, k string) string { return n.Handle("kv").Local().(*kv).get(k) }

func TestNameTaken(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"memory", "durable"} {
		t.Run(mode, func(t *testing.T) {
			dir := func() string {
				if mode == "memory" {
					return ""
				}
				return t.TempDir()
			}
			a := openTest(t, Config{Name: "a", Dir: dir()})
			ready(t, a)
			b := openTest(t, Config{Name: "b", Dir: dir(), Join: []string{a.Addr()}})
			ready(t, b)
			twin := openTest(t, Config{Name: "b", Dir: dir(), Join: []string{a.Addr()}})
			if err := twin.Ready(within(t, 20*time.Second)); !errors.Is(err, ErrNameTaken) {
				t.Fatalf("a second live b: %v, want ErrNameTaken", err)
			}
			if b.Err() != nil {
				t.Errorf("the first b gave up: %v", b.Err())
			}
			propose(t, b, "append x 1")
		})
	}
}

func TestMemoryNodeComesBack(t *testing.T) {
	t.Parallel()
	a := openTest(t, Config{Name: "a"})
	ready(t, a)
	b, c := openTest(t, Config{Name: "b", Join: []string{a.Addr()}}), openTest(t, Config{Name: "c", Join: []string{a.Addr()}})
	ready(t, b, c)
	propose(t, c, "append x 1")
	was := c.instance().server
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, a, "c is not configured any more", func(s State) bool { return len(a.instance().configuration().Servers) == 2 })
	again := openTest(t, Config{Name: "c", Join: []string{b.Addr()}})
	ready(t, again)
	if again.ID() != c.ID() || again.instance().server == was {
		t.Errorf("c came back as %s, was %s: the node is the same, the incarnation is not", again.instance().server, was)
	}
	propose(t, again, "append x 2")
	if got := local(again, "x"); got != "1,2," {
		t.Errorf("x = %q", got)
	}
}

func TestOtherKind(t *testing.T) {
	t.Parallel()
	a := openTest(t, Config{Name: "a", Dir: t.TempDir()})
	ready(t, a)
	b := openTest(t, Config{Name: "b", Join: []string{a.Addr()}})
	if err := b.Ready(within(t, 20*time.Second)); !errors.Is(err, ErrOtherKind) {
		t.Errorf("a memory node that joins a durable farm: %v, want ErrOtherKind", err)
	}
}

// A joiner that two founded farms call must become a member of one, and nothing of the other may reach it.
func TestJoinerOfTwoFarms(t *testing.T) {
	t.Parallel()
	x, y := openTest(t, Config{Name: "x"}), openTest(t, Config{Name: "y"})
	ready(t, x, y)
	ready(t, openTest(t, Config{Name: "x2", Join: []string{x.Addr()}}), openTest(t, Config{Name: "y2", Join: []string{y.Addr()}}))
	for range 3 {
		propose(t, x, "append x x")
		propose(t, y, "append x y")
	}
	j := openTest(t, Config{Name: "j", Join: []string{x.Addr(), y.Addr()}})
	ready(t, j)
	home, other := x, y
	if j.State().ClusterID == y.State().ClusterID {
		home, other = y, x
	}
	propose(t, other, "append x other")
	propose(t, j, "append x mine")
	if got, want := local(j, "x"), local(home, "x"); got != want {
		t.Errorf("the joiner has %q, its farm %q", got, want)
	}
	if got := local(other, "x"); len(got) != len("x,x,x,other,") {
		t.Errorf("the other farm has %q", got)
	}
	for _, n := range []*Node{home, other} {
		eventually(t, n, "it has its own members only", func(s State) bool {
			return len(s.Members) == map[*Node]int{home: 3, other: 2}[n] && len(n.instance().configuration().Servers) == len(s.Members)
		})
	}
	if home.State().ClusterID == other.State().ClusterID {
		t.Error("both farms have one cluster ID")
	}
}

func TestDirInUse(t *testing.T) {
	dir := t.TempDir()
	openTest(t, Config{Dir: dir})
	began := time.Now()
	_, err := Open(t.Context(), Config{Dir: dir, Logger: testLogger()})
	if !errors.Is(err, disk.ErrInUse) {
		t.Errorf("a second node on the directory: %v", err)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("it took %v to say so", d)
	}
}

// A data directory that was set back to an older copy has forgotten votes. The farm notices by the boot counter, and the
// node goes on as a new incarnation.
func TestRestoredDisk(t *testing.T) {
	t.Parallel()
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	a := openTest(t, Config{Name: "a", Dir: dirs[0]})
	ready(t, a)
	b := openTest(t, Config{Name: "b", Dir: dirs[1], Join: []string{a.Addr()}})
	c := openTest(t, Config{Name: "c", Dir: dirs[2], Join: []string{a.Addr()}})
	ready(t, b, c)
	propose(t, c, "append x 1")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dirs[2])); err != nil {
		t.Fatal(err)
	}
	was := c.instance().server
	c = openTest(t, Config{Name: "c", Dir: dirs[2], Join: []string{a.Addr()}})
	ready(t, c)
	if got := c.instance().server; got != was {
		t.Errorf("after a plain restart c is %s, was %s", got, was)
	}
	propose(t, c, "append x 2") // acknowledged with the help of c's log
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openTest(t, Config{Name: "c", Dir: copied, Join: []string{a.Addr()}})
	ready(t, c)
	if got := c.instance().server; got == was {
		t.Errorf("the restored disk goes on as %s", got)
	}
	propose(t, c, "append x 3")
	if got := local(c, "x"); got != "1,2,3," {
		t.Errorf("x = %q", got)
	}
	if found, _ := filepath.Glob(filepath.Join(copied, "discarded-*", logDir)); len(found) != 1 {
		t.Errorf("the old log was not moved aside: %v", found)
	}
}

func TestLeave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := openTest(t, Config{Name: "a", Dir: t.TempDir()})
	ready(t, a)
	b := openTest(t, Config{Name: "b", Dir: dir, Join: []string{a.Addr()}})
	ready(t, b)
	propose(t, b, "append x 1")
	if err := b.Leave(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	propose(t, a, "append x 2") // a alone is the majority again
	servers := a.instance().configuration().Servers
	if len(servers) != 1 {
		t.Errorf("after b left, the configuration is %v", servers)
	}
	again := openTest(t, Config{Name: "b", Dir: dir, Join: []string{a.Addr()}})
	ready(t, again)
	if got := local(again, "x"); got != "1,2," {
		t.Errorf("b came back with x = %q", got)
	}
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
	m, _ := a.State().Member(b.ID())
	if m.Version != "1.2" || m.Name != "b" || m.Status != Alive || m.Vote != Voter {
		t.Errorf("a sees b as %+v", m)
	}
}

// A copy of a running node's directory starts with a boot counter that nobody has seen yet. What gives it away is its log,
// which ends before what the node is known to have applied.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	a := openTest(t, Config{Name: "a", Dir: dirs[0]})
	ready(t, a)
	b := openTest(t, Config{Name: "b", Dir: dirs[1], Join: []string{a.Addr()}})
	c := openTest(t, Config{Name: "c", Dir: dirs[2], Join: []string{a.Addr()}})
	ready(t, b, c)
	propose(t, c, "append x 1")
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dirs[2])); err != nil { // while it runs, and nothing is written
		t.Fatal(err)
	}
	was := c.instance().server
	propose(t, c, "append x 2")
	index := c.progress.load()
	waitFor(t, "the others to hear of it", func() bool {
		return a.directory.reached(was) >= index && b.directory.reached(was) >= index
	})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openTest(t, Config{Name: "c", Dir: copied, Join: []string{a.Addr()}})
	ready(t, c)
	if c.instance().server == was {
		t.Errorf("the backup goes on as %s", was)
	}
	if got := local(c, "x"); got != "1,2," {
		t.Errorf("x = %q", got)
	}
}
