package cluster

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// inSlowNet runs a test on nodes that have formed a cluster, three of which vote, with links that take a
// millisecond.
func inSlowNet(t *testing.T, n int, f func(l *lab, leader *labNode, others []*labNode)) {
	unformed(t, n, false, func(l *lab) {
		for i, node := range l.nodes {
			node.conf.Tuning.MaxVoters = 3
			if i > 0 {
				node.conf.Join = []string{"10.0.0.1:7946"}
			}
			node.start()
		}
		l.ready(l.nodes...)
		for _, a := range l.nodes {
			for _, b := range l.nodes {
				if a != b {
					l.net.Delay(a.ip, b.ip, time.Millisecond)
				}
			}
		}
		leader, others := l.leader()
		f(l, leader, others)
	})
}

// late writes by one node, and returns after how long the last of the others has applied it.
func (l *lab) late(by *labNode, others []*labNode) time.Duration {
	l.t.Helper()
	index, _, err := by.Handle("kv").Propose(l.ctx(20*time.Second), []byte("set k v"))
	if err != nil {
		l.t.Fatal(err)
	}
	done := time.Now()
	for _, n := range others {
		if err := n.Handle("kv").Wait(l.ctx(time.Minute), index); err != nil {
			l.t.Fatal(err)
		}
	}
	return time.Since(done)
}

// A node that does not propose applies a write soon after the one that did, whether it votes or not, and
// whether the farm rests or is written to all the time.
func TestBystandersLearnOfCommits(t *testing.T) {
	t.Parallel()
	const bound = 10 * time.Millisecond
	for _, every := range []time.Duration{0, 50 * time.Millisecond, 3 * time.Millisecond} {
		t.Run(fmt.Sprintf("a write each %v beside", every), func(t *testing.T) {
			inSlowNet(t, 4, func(l *lab, leader *labNode, others []*labNode) {
				stop := l.load(others[2], every)
				defer stop()
				for range 5 {
					time.Sleep(300 * time.Millisecond) // the append of the write before has told of it
					if took := l.late(others[0], append(others[1:], leader)); took > bound {
						l.t.Errorf("the last node applied a write %v after the one that proposed it", took)
					}
				}
			})
		})
	}
}

// load has a node write all the time, 0 = not at all.
func (l *lab) load(by *labNode, every time.Duration) (stop func()) {
	ended := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for every > 0 {
			select {
			case <-time.After(every):
			case <-ended:
				return
			}
			go by.propose(20*time.Second, "set load x")
		}
	}()
	return func() { close(ended); <-done; time.Sleep(time.Second) }
}

// A node that gets no notices, as one whose program knows none, learns of a commit by raft's own means.
func TestBystandersWithoutNotices(t *testing.T) {
	t.Parallel()
	inSlowNet(t, 3, func(l *lab, leader *labNode, others []*labNode) {
		leader.instance().transport.told.raise(others[1].instance().server, math.MaxUint64)
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			if took := l.late(others[0], others[1:]); took > 2*commitTimeout+10*time.Millisecond {
				l.t.Errorf("a write was applied %v after it was acknowledged", took)
			}
		}
	})
}

// If the farm rests, a commit is told at once. In a run of writes the next append tells of it, also if each
// write waits for the one before.
func TestLoneCommits(t *testing.T) {
	for _, c := range []struct {
		index, last uint64
		rest        time.Duration
		lone        bool
	}{
		{5, 5, time.Second, true},
		{5, 5, time.Duration(math.MaxInt64), true}, // the first of a leadership
		{5, 6, time.Second, false},
		{5, 5, 300 * time.Microsecond, false},
		{5, 6, 300 * time.Microsecond, false},
	} {
		if got := lone(c.index, c.last, c.rest); got != c.lone {
			t.Errorf("%+v", c)
		}
	}
}
