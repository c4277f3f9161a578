package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
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

// comeBack starts nodes again; all are ready then and have what fill wrote.
func (l *lab) comeBack(prefix string, nodes ...*labNode) {
	l.t.Helper()
	for _, n := range nodes {
		n.start()
	}
	l.ready(l.nodes...)
	for _, n := range l.nodes {
		l.filled(n, prefix)
	}
}

// Most of the nodes in memory are killed at once and started again. What they had is lost for certain, so those that are
// left do not wait for a quorum that can never be: they carry the farm on, with all that they have.
func TestMemoryQuorumLost(t *testing.T) {
	for _, c := range []struct{ size, lose int }{{2, 1}, {3, 2}, {5, 3}, {5, 4}} {
		t.Run(fmt.Sprintf("%d of %d", c.lose, c.size), func(t *testing.T) {
			together(t, c.size, false, func(l *lab) {
				leader, others := l.leader()
				lost := append([]*labNode{leader}, others[:c.lose-1]...)
				left := others[c.lose-1:]
				l.fill(leader, "k", l.nodes...)
				before := leader.State().ClusterID
				for _, n := range lost {
					n.kill()
				}
				time.Sleep(5 * time.Second)
				if left[0].get("k0") != "v" {
					t.Error("nothing can be read without a quorum")
				}
				for _, n := range lost {
					n.start()
				}
				l.ready(lost...)
				l.until(time.Minute, "all are of the next epoch", func() bool {
					for _, n := range l.nodes {
						if s := n.State(); !supersedes(s.ClusterID, before) || !s.Ready {
							return false
						}
					}
					return true
				})
				for i, n := range l.nodes {
					l.filled(n, "k")
					n.must("set after%d 1", i)
				}
			})
		})
	}
}

// A node that gossip takes for dead may run: cut off, with a quorum among those on its side. Nobody re-forms anything.
func TestNoProofNoReforming(t *testing.T) {
	together(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		before := leader.State().ClusterID
		l.cut(others[0])
		time.Sleep(10 * time.Minute)
		if id := others[0].State().ClusterID; id != before {
			t.Errorf("the node that was cut off made itself a farm of its own: %s, was %s", id, before)
		}
		leader.must("set k v")
		l.net.Heal()
		l.until(time.Minute, "the write is everywhere", func() bool { return others[0].get("k") == "v" })

		// Two are killed and stay away: one that is left cannot know. An operator can.
		lost := []string{leader.ID(), others[1].ID()}
		leader.kill()
		others[1].kill()
		left := others[0]
		time.Sleep(10 * time.Minute)
		if id := left.State().ClusterID; id != before {
			t.Fatalf("%s re-formed the farm, but nobody said that the others are gone", left.conf.Name)
		}
		if err := left.Recover(l.ctx(time.Minute), lost[:1]); !errors.Is(err, errHasQuorum) {
			t.Errorf("recovery without a word about one of the missing: %v", err)
		}
		if err := left.Recover(l.ctx(time.Minute), lost); err != nil {
			t.Fatal(err)
		}
		left.must("set alone 1")
		leader.start()
		others[1].start()
		l.ready(l.nodes...)
		for _, n := range l.nodes {
			if n.get("k") != "v" || n.get("alone") != "1" {
				t.Errorf("%s misses something", n.conf.Name)
			}
		}
	})
}

// Two nodes of three go in order, one after the other, while the third is dead: the second one cannot be let go by a quorum,
// but says at its end that it is gone.
func TestNoticeIsProof(t *testing.T) {
	together(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		l.fill(leader, "k", l.nodes...)
		others[0].kill()
		others[1].stop()
		time.Sleep(time.Second)
		others[0].start() // which proves that its former self is gone; the other one has said so
		l.ready(leader, others[0])
		l.filled(others[0], "k")
		others[1].start()
		l.ready(l.nodes...)
	})
}

// Whoever was promised to re-form the farm is killed before it does. Once it is proven gone, another one may.
func TestSuccessorIsLost(t *testing.T) {
	together(t, 5, false, func(l *lab) {
		leader, others := l.leader()
		l.fill(leader, "k", l.nodes...)
		lost, left := append(others[2:], leader), others[:2]
		for _, n := range lost {
			n.kill()
		}
		l.until(time.Minute, "nobody leads", func() bool { return left[0].State().Leader == "" && left[1].State().Leader == "" })
		words := map[string]bool{}
		for _, n := range lost {
			words[n.instance().server] = true
		}
		s := left[0].look(l.ctx(time.Minute), left[0].self().cluster, words, true)
		if err := s.verdict(); err != nil || len(s.reports) != 2 {
			t.Fatalf("%d reports, %v", len(s.reports), err)
		}
		heir, other := left[0], left[1]
		if s.heir() != heir.instance().server {
			heir, other = other, heir
		}
		follow := func(n *labNode) []byte {
			return appendStrings(appendString(appendString(nil, n.self().cluster), n.instance().server), nil)
		}
		for _, n := range left {
			if err := n.answerFollow(follow(heir)); err != nil {
				t.Fatal(err)
			}
			if err := n.answerFollow(follow(other)); !errors.Is(err, errPromised) {
				t.Errorf("%s promised to follow two: %v", n.conf.Name, err)
			}
		}
		heir.kill()
		l.comeBack("k", append(lost, heir)...)
	})
}

// A survey of a durable farm without a quorum says what is left; a recovery goes on from the richest log; what it did not
// have is moved aside when its owner comes back after all.
func TestRecoverDurable(t *testing.T) {
	together(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		l.fill(leader, "k", l.nodes...)
		before := leader.State().ClusterID
		behind, left := others[0], others[1]
		behind.kill()
		l.fill(leader, "more", left)
		if s, err := left.Survey(l.ctx(time.Minute)); err != nil || !s.Quorum {
			t.Errorf("%+v, %v: two of three are a quorum", s, err)
		}
		if err := left.Recover(l.ctx(time.Minute), []string{behind.ID()}); !errors.Is(err, errHasQuorum) {
			t.Errorf("recovery of a farm with a quorum: %v", err)
		}
		leader.kill()
		time.Sleep(5 * time.Second)
		s, err := left.Survey(l.ctx(time.Minute))
		if err != nil || s.Quorum || s.Successor != left.ID() || len(s.Servers) != 3 {
			t.Fatalf("%+v, %v", s, err)
		}
		if err := left.Recover(l.ctx(time.Minute), []string{behind.ID(), leader.ID()}); err != nil {
			t.Fatal(err)
		}
		l.filled(left, "more")
		left.must("set alone 1")
		left.stop() // the next epoch is on the disk
		left.start()
		l.ready(left)
		if id := left.State().ClusterID; !supersedes(id, before) {
			t.Errorf("the cluster ID is %s after a restart, which does not follow %s", id, before)
		}
		behind.start()
		leader.start()
		l.until(time.Minute, "all have joined the next epoch", func() bool {
			return behind.State().Ready && leader.State().Ready && leader.get("alone") == "1"
		})
		for _, n := range l.nodes {
			l.filled(n, "k")
			l.filled(n, "more")
		}
		if old, _ := filepath.Glob(filepath.Join(leader.conf.Dir, "discarded-*", "raft")); len(old) != 1 {
			t.Errorf("the log of the one that was thought lost is not kept: %v", old)
		}
	})
}

// A backup takes the place of the state of a whole farm, under a new cluster ID.
func TestRestoreBackup(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprint("durable ", durable), func(t *testing.T) {
			together(t, 3, durable, func(l *lab) {
				leader, others := l.leader()
				l.fill(leader, "k", l.nodes...)
				var backup bytes.Buffer
				if _, err := others[0].WriteSnapshot(&backup); err != nil {
					t.Fatal(err)
				}
				leader.must("set later 1")
				before := leader.State()
				broken := bytes.Clone(backup.Bytes())
				broken[len(broken)/2] ^= 1
				if err := others[1].Restore(l.ctx(time.Minute), bytes.NewReader(broken)); err == nil {
					t.Error("a broken backup was restored")
				}
				if err := others[1].Restore(l.ctx(time.Minute), bytes.NewReader(broken[:len(broken)-1])); err == nil {
					t.Error("half a backup was restored")
				}
				leader.must("set later 2")
				if level, err := leader.Finalize(l.ctx(time.Minute)); err != nil || level < 2 {
					t.Fatalf("level %d, %v", level, err)
				}
				l.until(time.Minute, "the level is everywhere", func() bool { return others[1].State().Level == 2 })
				if err := others[1].Restore(l.ctx(time.Minute), &backup); err != nil {
					t.Fatal(err)
				}
				l.until(time.Minute, "all are of the next epoch", func() bool {
					for _, n := range l.nodes {
						if s := n.State(); !supersedes(s.ClusterID, before.ClusterID) || !s.Ready {
							return false
						}
					}
					return true
				})
				for _, n := range l.nodes {
					l.filled(n, "k")
					if got := n.get("later"); got != "" {
						t.Errorf("%s has later=%s, which is not in the backup", n.conf.Name, got)
					}
					if n.State().Level < 2 {
						t.Errorf("%s is back at level %d", n.conf.Name, n.State().Level)
					}
					n.must("set %s 1", n.conf.Name)
				}
				if id := leader.State().ClusterID; id == before.ClusterID {
					t.Error("the cluster ID is the old one")
				}
			})
		})
	}
}

// A crash between any two steps of a re-forming leaves the old farm or the new one.
func TestReformingInterrupted(t *testing.T) {
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
		{"nobody has anything", nil, "a b", errNotReformed, ""},
		{"a quorum may be left", []*report{running(rep("c", 1, 5, "a b c", ""))}, "a", errHasQuorum, ""},
		{"who has stood down makes no quorum", []*report{rep("c", 1, 5, "a b c", "")}, "a", errNotReformed, ""},
		{"two who have stood down and one who runs", []*report{rep("c", 1, 5, "a b c d e", ""), rep("b", 1, 5, "a b c d e", ""),
			running(rep("a", 1, 5, "a b c d e", ""))}, "d e", nil, "b"},
		{"one of three", []*report{rep("c", 1, 5, "a b c", "")}, "a b", nil, "c"},
		{"one of two", []*report{rep("b", 1, 5, "a b", "")}, "a", nil, "b"},
		{"another voter is silent", []*report{rep("c", 1, 5, "a b c d", "")}, "a b", errNotReformed, ""},
		{"the later term wins", []*report{rep("d", 2, 5, "a b c d e", ""), rep("e", 1, 9, "a b c d e", "")}, "a b c", nil, "d"},
		{"the longer log wins", []*report{rep("d", 2, 5, "a b c d e", ""), rep("e", 2, 9, "a b c d e", "")}, "a b c", nil, "e"},
		{"a non-voter has more", []*report{rep("c", 1, 5, "a b c", "d"), rep("d", 1, 6, "a b c", "d")}, "a b", nil, "d"},
		{"a newer configuration has more voters", []*report{running(rep("c", 1, 5, "a b c", "")),
			running(rep("d", 1, 6, "a b c d e", ""))}, "a b", errHasQuorum, ""},
		{"the lost ones vote again, as what they are now", []*report{running(rep("c", 1, 5, "a b c", "")),
			running(rep("A", 1, 9, "c A B", ""))}, "a b", errHasQuorum, ""},
		{"one without a vote has more", []*report{rep("c", 1, 5, "a b c", "f"), front(rep("f", 1, 6, "a b c", "f"))}, "a b", nil, "f"},
		{"one without a vote has as much", []*report{rep("c", 1, 5, "a b c", "a.f"), front(rep("a.f", 1, 5, "a b c", "a.f"))}, "a b",
			nil, "c"},
		{"only non-voters are left", []*report{rep("d", 1, 5, "a b c", "d")}, "a b c", nil, "d"},
		{"a non-voter is missing where no voter is left", []*report{rep("d", 1, 5, "a b c", "d e")}, "a b c", errNotReformed, ""},
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
