package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Nodes that get the same log do not snapshot in one moment, and the leader does so last.
func TestSnapshotsSpread(t *testing.T) {
	for _, nodes := range []int{3, 9} {
		at := map[int64]int{} // bytes at which a node takes one
		take := func(s *snapshotSchedule, leads bool) int64 {
			for bytes := int64(1000); ; bytes++ {
				if s.due(s.last, bytes, 0, leads) {
					s.done(s.last, bytes, nil)
					return bytes
				}
			}
		}
		begin := time.Now()
		latest := int64(0)
		for i := range nodes - 1 {
			s := &snapshotSchedule{server: fmt.Sprintf("node%d", i), least: 1000, last: begin}
			first, second := take(s, false), take(s, false)
			at[first]++
			latest = max(latest, first, second)
			if first == second {
				t.Errorf("%s takes each after %d bytes, so two that meet once always do", s.server, first)
			}
		}
		leader := take(&snapshotSchedule{server: "leader", least: 1000, last: begin}, true)
		if len(at) < (nodes-1)*3/4 || leader <= latest || latest > 1400 || leader > 1500 {
			t.Errorf("%d nodes take one after %v bytes, the leader after %d", nodes, at, leader)
		}
	}
}

// Nodes that are written to do not snapshot in one moment: the followers do so apart from each other, and the
// leader after all of them.
func TestNodesSnapshotApart(t *testing.T) {
	const bytes, each = 1 << 20, 20 << 10 // one write a second: a snapshot every 50 to 75 s
	unformed(t, 5, false, func(l *lab) {
		for i, n := range l.nodes {
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.conf.Tuning.SnapshotBytes = bytes
			n.start()
		}
		l.ready(l.nodes...)
		leader, others := l.leader()
		at := map[*labNode][]time.Time{}
		apart := func(round int) time.Duration { // the first follower from the last
			first, last := at[others[0]][round], at[others[0]][round]
			for _, n := range others {
				if now := at[n][round]; now.Before(first) {
					first = now
				} else if now.After(last) {
					last = now
				}
			}
			return last.Sub(first)
		}
		for cmd := "noop " + strings.Repeat("x", each); len(at[leader]) < 2; time.Sleep(time.Second) {
			leader.must("%s", cmd)
			for _, n := range l.nodes {
				if s := n.Stats().Snapshot; s.Taken > uint64(len(at[n])) {
					at[n] = append(at[n], s.Last)
				}
			}
		}
		for _, n := range others { // each has taken two before the leader's second
			if len(at[n]) < 2 {
				l.t.Fatalf("%s took %v, the leader %v", n.conf.Name, at[n], at[leader])
			}
			if d := at[leader][0].Sub(at[n][0]); d < 2*snapshotCheck {
				l.t.Errorf("the leader took its first snapshot %v after %s", d, n.conf.Name)
			}
		}
		if a, b := apart(0), apart(1); max(a, b) < 3*snapshotCheck {
			l.t.Errorf("all followers took a snapshot within %v, and the next within %v", a, b)
		}
	})
}

// A large state is written less often.
func TestSnapshotsGoByTheState(t *testing.T) {
	begin := time.Now()
	s := &snapshotSchedule{server: "a", least: 1000, last: begin}
	for _, c := range []struct {
		after       time.Duration
		bytes, size int64
		due         bool
	}{
		{0, 999, 0, false},
		{0, 1500, 0, true},
		{0, 1500, 1000, true},
		{0, 9999, 10_000, false},
		{0, 15_000, 10_000, true},
		{snapshotEvery - 1, 1, 10_000, false},
		{snapshotEvery * 3 / 2, 1, 10_000, true},
		{snapshotEvery * 3 / 2, 0, 0, false},
	} {
		if got := s.due(begin.Add(c.after), c.bytes, c.size, false); got != c.due {
			t.Errorf("after %v and %d bytes, of a state of %d: %v", c.after, c.bytes, c.size, got)
		}
	}
}

// A snapshot that failed is tried again soon, though nothing is applied meanwhile, and less and less often.
func TestSnapshotIsTriedAgain(t *testing.T) {
	now := time.Now()
	s := &snapshotSchedule{server: "a", least: 1000, last: now}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		wait := s.done(now, 1500, errors.New("full"))
		if wait != want*time.Second {
			t.Errorf("again in %v, want %v s", wait, want)
		}
		if s.due(now.Add(wait-1), 0, 0, false) || !s.due(now.Add(wait), 0, 0, false) {
			t.Errorf("it is not due after %v", wait)
		}
		now = now.Add(wait)
	}
	s.done(now, 0, nil)
	if s.due(now.Add(time.Second), 900, 0, false) || s.done(now, 900, errors.New("full")) != time.Second {
		t.Error("what failed before counts after one that did not")
	}
}

// A quarter of SnapshotBytes stays in the log, and some entries if they are small.
func TestStaying(t *testing.T) {
	for _, c := range []struct {
		snapshotBytes, bytes, entries int64
		want                          uint64
	}{
		{64 << 20, 64 << 20, 1 << 20, 1 << 18},
		{64 << 20, 64 << 20, 128, 128}, // of 512 KiB each
		{64 << 20, 64 << 20, 512, 256},
		{4 << 10, 4 << 10, 40, 256},
		{64 << 20, 0, 0, 1},
	} {
		if got := staying(c.snapshotBytes, c.bytes, c.entries); got != c.want {
			t.Errorf("%d entries of %d bytes, SnapshotBytes %d: %d stay, want %d", c.entries, c.bytes,
				c.snapshotBytes, got, c.want)
		}
	}
}
