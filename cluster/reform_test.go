package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// together runs a test on n nodes that have founded a farm from one Join list.
func together(t *testing.T, n int, durable bool, f func(l *lab)) {
	t.Helper()
	unformed(t, n, durable, func(l *lab) {
		l.symmetric()
		for _, n := range l.nodes {
			n.start()
		}
		l.ready(l.nodes...)
		f(l)
	})
}

// fill writes twenty keys through a node and waits until all of nodes have them.
func (l *lab) fill(by *labNode, prefix string, nodes ...*labNode) {
	l.t.Helper()
	for i := range 20 {
		by.must("set %s%d v", prefix, i)
	}
	for _, n := range nodes {
		l.until(time.Minute, "the writes are everywhere", func() bool { return n.get(prefix+"19") == "v" })
	}
}

// filled checks that a node has what fill wrote.
func (l *lab) filled(n *labNode, prefix string) {
	l.t.Helper()
	for i := range 20 {
		if got := n.get(fmt.Sprint(prefix, i)); got != "v" {
			l.t.Errorf("%s has lost %s%d: %q", n.conf.Name, prefix, i, got)
		}
	}
}

// oneFarm waits until all nodes are in the farm of n, and ready. One that has not heard yet that its farm was
// restored is ready in the former one.
func (l *lab) oneFarm(n *labNode) {
	l.t.Helper()
	l.until(2*time.Minute, "all are in one farm", func() bool {
		for _, o := range l.nodes {
			if s := o.State(); !s.Ready || s.ClusterID != n.State().ClusterID {
				return false
			}
		}
		return true
	})
}

// comeBack starts nodes again; all are in one farm then, ready, and have what fill wrote. One that ran on
// counts as ready in its former farm until it gives that up, and what it had with it.
func (l *lab) comeBack(prefix string, nodes ...*labNode) {
	l.t.Helper()
	for _, n := range nodes {
		n.start()
	}
	l.oneFarm(l.nodes[0])
	for _, n := range l.nodes {
		l.filled(n, prefix)
	}
}

// A crash between any two steps of a re-forming leaves the old farm or the new one.
func TestReformingInterrupted(t *testing.T) {
	t.Parallel()
	unformed(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		n.start()
		l.ready(n)
		n.must("set k v")
		dir := n.conf.Dir
		// of a re-forming that did not come to its end
		stranger := filepath.Join(dir, newLogDir("0123456789abcdef"))
		if err := os.MkdirAll(stranger, 0o700); err != nil {
			t.Fatal(err)
		}
		n.stop()
		n.start()
		l.ready(n)
		if n.get("k") != "v" {
			t.Error("the state is gone")
		}
		if _, err := os.Stat(stranger); err == nil {
			t.Error("the unfinished log was left where it was")
		}
		n.stop()
		inc := n.standing.Identity().Incarnation
		if err := os.Rename(filepath.Join(dir, logDir), filepath.Join(dir, newLogDir(inc))); err != nil {
			t.Fatal(err) // as after a crash between the identity and the renaming
		}
		n.start()
		l.ready(n)
		if n.get("k") != "v" {
			t.Error("the new log was not taken")
		}
	})
}

func TestEpochs(t *testing.T) {
	first := randomHex(8)
	second := nextEpoch(first)
	third := nextEpoch(second)
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{second, first, true}, {third, first, true}, {third, second, true}, {first, second, false},
		{first, first, false},
		{second, nextEpoch(first), false}, {nextEpoch(randomHex(8)), first, false}, {"", "", false},
		{"x-9-y", "", false},
	} {
		if got := supersedes(c.a, c.b); got != c.want {
			t.Errorf("%q supersedes %q: %v", c.a, c.b, got)
		}
	}
}
