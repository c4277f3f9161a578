package farmtest_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// failover is how long a farm may be without a leader on a machine that is busy with other things. See TestPause.
const failover = 30 * time.Second

// Slow: farms of several sizes form one after the other.
func TestForm(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 5} {
		kinds(t, farmtest.Config{Nodes: n}, bubble, func(t *testing.T, f *farmtest.Farm) {
			v := newVisitor(t, f, "v")
			for _, n := range f.Nodes {
				v.mustWrite(n)
				v.everywhere(f)
			}
		})
	}
}

// Slow: it runs in real time too, where a farm forms in seconds.
func TestFollowerKilled(t *testing.T) {
	t.Parallel()
	kinds(t, farmtest.Config{}, bubble, func(t *testing.T, f *farmtest.Farm) {
		leader := f.Leader()
		others := f.Others(leader)
		v := newVisitor(t, f, "v")
		v.mustWrite(others[0])
		others[0].Kill()
		v.mustWrite(others[1]) // a majority is there, so nobody waits
		v.mustWrite(leader)
		f.Settle()
		others[0].Restart()
		f.Settle()
		v.everywhere(f)
		v.mustWrite(others[0])
		v.everywhere(f)
	})
}

// Slow: it runs in real time too, where a farm forms in seconds.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	kinds(t, farmtest.Config{}, both, func(t *testing.T, f *farmtest.Farm) {
		v := newVisitor(t, f, "v")
		v.mustWrite(f.Nodes[0])
		for range 3 {
			leader := f.Leader()
			others := f.Others(leader)
			v.mustWrite(leader)
			leader.Kill()
			v.mustWrite(others[0], failover)
			v.mustWrite(others[1], failover)
			leader.Restart()
			f.Settle()
			v.everywhere(f)
		}
	})
}

// TestPause measures how long nobody can write after the leader was killed, where the machine is never busy.
// Slow: a node is paused for longer than anybody waits, and comes back.
func TestPause(t *testing.T) {
	t.Parallel()
	farmtest.Run(t, 3, application, func(t *testing.T, f *farmtest.Farm) {
		var pauses []time.Duration
		v := newVisitor(t, f, "v")
		for range 15 {
			leader := f.Leader()
			other := f.Others(leader)[0]
			v.mustWrite(other)
			leader.Kill()
			pauses = append(pauses, must(t, failover, "write", func() error { return v.write(other) }))
			leader.Restart()
			f.Settle()
		}
		slices.Sort(pauses)
		t.Logf("median %v, longest %v", pauses[len(pauses)/2], pauses[len(pauses)-1])
		if longest := pauses[len(pauses)-1]; longest > 5*time.Second {
			t.Errorf("nobody could write for %v", longest)
		}
	})
}

// Slow: a minority is cut off for longer than anybody waits.
func TestMinorityCutOff(t *testing.T) {
	t.Parallel()
	kinds(t, farmtest.Config{Nodes: 5}, bubble, func(t *testing.T, f *farmtest.Farm) {
		leader := f.Leader()
		minority := []*farmtest.Node{leader, f.Others(leader)[0]}
		majority := f.Others(minority...)
		v, w := newVisitor(t, f, "v"), newVisitor(t, f, "w")
		v.mustWrite(leader)
		w.mustWrite(leader)
		f.Settle()
		f.Partition(minority, majority)

		v.mustWrite(majority[0], failover)
		v.mustWrite(majority[1])
		for _, n := range minority {
			if err := w.write(n); err == nil {
				t.Errorf("%s acknowledged a write without a majority", n)
			}
			if err := w.read(n); err != nil {
				t.Errorf("%s does not answer reads: %v", n, err)
			}
			if err := v.read(n); err == nil {
				t.Errorf("%s answers a reader who knows more than it does", n)
			}
		}
		f.Heal()
		f.Settle()
		v.everywhere(f)
		w.everywhere(f)
		w.mustWrite(leader)
		w.everywhere(f)
	})
}

// TestStaleReads holds what is promised to readers of a node that is cut off: a minute, and then the truth.
// Slow: a node is cut off for more than a minute of its time.
func TestStaleReads(t *testing.T) {
	t.Parallel()
	farmtest.Run(t, 3, application, func(t *testing.T, f *farmtest.Farm) {
		leader := f.Leader()
		v := newVisitor(t, f, "v")
		v.mustWrite(leader)
		f.Settle()
		f.Partition([]*farmtest.Node{leader})
		pass(50 * time.Second)
		if err := v.read(leader); err != nil {
			t.Errorf("after 50 s: %v", err)
		}
		pass(20 * time.Second)
		if err := v.read(leader); err == nil {
			t.Error("a node without contact for 70 s still answers")
		}
		f.Heal()
		f.Settle()
		v.everywhere(f)
	})
}

// Slow: a farm is cut, healed and settled, in memory and with disks.
func TestEndedSessionStaysEnded(t *testing.T) {
	t.Parallel()
	kinds(t, farmtest.Config{}, bubble, func(t *testing.T, f *farmtest.Farm) {
		leader := f.Leader()
		others := f.Others(leader)
		v := newVisitor(t, f, "v")
		v.mustWrite(leader)
		f.Settle()
		f.Partition([]*farmtest.Node{others[0]})
		must(t, failover, "end of the session", func() error { return v.leave(f, leader) })
		v.haunt(leader)
		pass(100 * time.Millisecond) // a follower learns of a commit a moment later
		v.haunt(others[1])
		f.Heal()
		f.Settle()
		v.everywhere(f)
		leader.Kill()
		f.Leader()
		v.haunt(others[0])
		leader.Restart()
		f.Settle()
		v.everywhere(f)
	})
}

// TestLeaderHalfDeaf cuts the leader off in one direction.
// Slow: a leader is deaf in each way, for longer than anybody waits.
func TestLeaderHalfDeaf(t *testing.T) {
	t.Parallel()
	cuts := map[string]func(f *farmtest.Farm, leader, other *farmtest.Node){
		"hears nobody": func(f *farmtest.Farm, leader, other *farmtest.Node) { f.Cut(other, leader) },
		"is not heard": func(f *farmtest.Farm, leader, other *farmtest.Node) { f.Cut(leader, other) },
	}
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			kinds(t, farmtest.Config{}, bubble, func(t *testing.T, f *farmtest.Farm) {
				leader := f.Leader()
				others := f.Others(leader)
				v := newVisitor(t, f, "v")
				v.mustWrite(leader)
				for _, o := range others {
					cut(f, leader, o)
				}
				v.mustWrite(others[0], 2*failover)
				if err := v.write(leader); err == nil {
					t.Error("a write got through a node that is cut off")
				}
				v.mustWrite(others[1])
				f.Heal()
				f.Settle()
				v.everywhere(f)
			})
		})
	}
}

// TestRollingRestart restarts every node in turn, twice, while visitors keep writing.
// Slow: each of three nodes drains, stops and catches up, in memory and with a disk.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	kinds(t, farmtest.Config{}, bubble, func(t *testing.T, f *farmtest.Farm) {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var visitors []*visitor
		for _, name := range []string{"a", "b", "c"} {
			v := newVisitor(t, f, name)
			visitors = append(visitors, v)
			wg.Go(func() { v.wander(f, stop) })
		}
		for range 2 {
			for _, n := range f.Nodes {
				n.Restart()
				f.Settle()
			}
		}
		close(stop)
		wg.Wait()
		f.Settle()
		for _, v := range visitors {
			v.everywhere(f)
			t.Logf("%s wrote %d, %d of them acknowledged", v.name, v.count, len(v.acked))
		}
	})
}

// Slow: nodes are cut off, killed and started again, twice, in memory and with disks.
func TestRestartedInPartition(t *testing.T) {
	t.Parallel()
	kinds(t, farmtest.Config{}, bubble, func(t *testing.T, f *farmtest.Farm) {
		for i := range 2 {
			leader := f.Leader()
			others := f.Others(leader)
			v := newVisitor(t, f, "v")
			v.mustWrite(leader)
			cutOff := []*farmtest.Node{leader, others[0]}[i]
			rest := f.Others(cutOff)
			f.Partition([]*farmtest.Node{cutOff})
			v.mustWrite(rest[0], failover)
			cutOff.Kill()
			cutOff.Restart()
			pass(2 * time.Second)
			if err := v.write(cutOff); err == nil {
				t.Error("a node alone acknowledged a write")
			}
			v.mustWrite(rest[1])
			f.Heal()
			f.Settle()
			v.everywhere(f)
		}
	})
}

// TestAllMoved stops a durable farm and starts all of it on other addresses.
func TestAllMoved(t *testing.T) {
	t.Parallel()
	bubble(t, farmtest.Config{Durable: true}, func(t *testing.T, f *farmtest.Farm) {
		v := newVisitor(t, f, "v")
		v.mustWrite(f.Nodes[0])
		for _, n := range f.Nodes {
			n.Kill()
		}
		for _, n := range f.Nodes {
			n.Move()
		}
		f.Settle()
		v.everywhere(f)
		v.mustWrite(f.Nodes[2])
		v.everywhere(f)
	})
}

func TestWithoutMajority(t *testing.T) {
	t.Parallel()
	kinds(t, farmtest.Config{}, bubble, func(t *testing.T, f *farmtest.Farm) {
		v := newVisitor(t, f, "v")
		v.mustWrite(f.Nodes[0])
		f.Settle()
		f.Nodes[0].Kill()
		f.Nodes[1].Kill()
		if err := v.write(f.Nodes[2]); err == nil {
			t.Error("one node of three acknowledged a write")
		} else if !errors.Is(err, errRefused) {
			t.Logf("outcome unknown: %v", err)
		}
		if err := v.read(f.Nodes[2]); err != nil {
			t.Error(err)
		}
	})
}
