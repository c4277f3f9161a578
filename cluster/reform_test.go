package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
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

// oneFarm waits until all nodes are in the farm of n, and ready. One that has not heard yet that its farm was restored is ready
// in the former one.
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

// comeBack starts nodes again; all are in one farm then, ready, and have what fill wrote. One that ran on counts as ready in
// its former farm until it gives that up, and what it had with it.
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
		stranger := filepath.Join(dir, newLogDir("0123456789abcdef")) // of a re-forming that did not come to its end
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
		inc := n.inc
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

// What a survey allows, as a table: voters a, b, c, ...; small letters are non-voters in the reports.
func TestVerdict(t *testing.T) {
	rep := func(server string, term, last uint64, voters, nonvoters string) *report {
		return &report{server: server, term: term, last: last, ordinary: true, down: true, voters: strings.Fields(voters),
			nonvoters: strings.Fields(nonvoters)}
	}
	running := func(r *report) *report {
		r.down = false
		return r
	}
	front := func(r *report) *report {
		r.ordinary = false
		return r
	}
	for _, c := range []struct {
		name    string
		reports []*report
		gone    string
		err     error
		heir    string
	}{
		{"nobody has anything", nil, "a b", wire.ErrNotReformed, ""},
		{"a quorum may be left", []*report{running(rep("c", 1, 5, "a b c", ""))}, "a", wire.ErrHasQuorum, ""},
		{"who has stood down makes no quorum", []*report{rep("c", 1, 5, "a b c", "")}, "a", wire.ErrNotReformed, ""},
		{"two who have stood down and one who runs", []*report{rep("c", 1, 5, "a b c d e", ""), rep("b", 1, 5, "a b c d e", ""),
			running(rep("a", 1, 5, "a b c d e", ""))}, "d e", nil, "b"},
		{"one of three", []*report{rep("c", 1, 5, "a b c", "")}, "a b", nil, "c"},
		{"one of two", []*report{rep("b", 1, 5, "a b", "")}, "a", nil, "b"},
		{"another voter is silent", []*report{rep("c", 1, 5, "a b c d", "")}, "a b", wire.ErrNotReformed, ""},
		{"the later term wins", []*report{rep("d", 2, 5, "a b c d e", ""), rep("e", 1, 9, "a b c d e", "")}, "a b c", nil, "d"},
		{"the longer log wins", []*report{rep("d", 2, 5, "a b c d e", ""), rep("e", 2, 9, "a b c d e", "")}, "a b c", nil, "e"},
		{"a non-voter has more", []*report{rep("c", 1, 5, "a b c", "d"), rep("d", 1, 6, "a b c", "d")}, "a b", nil, "d"},
		{"a newer configuration has more voters", []*report{running(rep("c", 1, 5, "a b c", "")),
			running(rep("d", 1, 6, "a b c d e", ""))}, "a b", wire.ErrHasQuorum, ""},
		{"the lost ones vote again, as what they are now", []*report{running(rep("c", 1, 5, "a b c", "")),
			running(rep("A", 1, 9, "c A B", ""))}, "a b", wire.ErrHasQuorum, ""},
		{"one without a vote has more", []*report{rep("c", 1, 5, "a b c", "f"), front(rep("f", 1, 6, "a b c", "f"))}, "a b", nil, "f"},
		{"one without a vote has as much", []*report{rep("c", 1, 5, "a b c", "a.f"), front(rep("a.f", 1, 5, "a b c", "a.f"))}, "a b",
			nil, "c"},
		{"only non-voters are left", []*report{rep("d", 1, 5, "a b c", "d")}, "a b c", nil, "d"},
		{"a non-voter is missing where no voter is left", []*report{rep("d", 1, 5, "a b c", "d e")}, "a b c", wire.ErrNotReformed, ""},
	} {
		s := &survey{reports: map[string]*report{}, gone: map[string]bool{}}
		for _, r := range c.reports {
			s.reports[r.server] = r
		}
		for _, id := range strings.Fields(c.gone) {
			s.gone[id] = true
		}
		err := s.verdict()
		if !errors.Is(err, c.err) || err == nil && s.heir() != c.heir {
			t.Errorf("%s: %v, %q; want %v, %q", c.name, err, s.heir(), c.err, c.heir)
		}
	}
}

func TestEpochs(t *testing.T) {
	first := randomHex(8)
	second := nextEpoch(first)
	third := nextEpoch(second)
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{second, first, true}, {third, first, true}, {third, second, true}, {first, second, false}, {first, first, false},
		{second, nextEpoch(first), false}, {nextEpoch(randomHex(8)), first, false}, {"", "", false}, {"x-9-y", "", false},
	} {
		if got := supersedes(c.a, c.b); got != c.want {
			t.Errorf("%q supersedes %q: %v", c.a, c.b, got)
		}
	}
}

func FuzzReport(f *testing.F) {
	r := report{server: "n.1", term: 2, last: 3, ordinary: true, down: true, successor: "m.1", voters: []string{"n.1", "m.1"}}
	f.Add(r.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReport(b)
		if err != nil {
			return
		}
		if again, err := parseReport(r.append(nil)); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v comes back as %+v, %v", r, again, err)
		}
	})
}
