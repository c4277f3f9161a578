package cluster

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// delayedStore is a log on a disk that takes its time.
type delayedStore struct {
	raftlog.Store
	takes *atomic.Int64 // nanoseconds for each write
}

func (s delayedStore) StoreLogs(l []*raft.Log) error {
	time.Sleep(time.Duration(s.takes.Load()))
	return s.Store.StoreLogs(l)
}

// slowness says how long each thing takes on one node.
type slowness struct {
	write, restore atomic.Int64 // nanoseconds
	apply          atomic.Int64 // nanoseconds, for each command
	restores       atomic.Int64 // that were begun
}

func (s *slowness) restoring() {
	if s != nil {
		s.restores.Add(1)
		time.Sleep(time.Duration(s.restore.Load()))
	}
}

func (s *slowness) applying() {
	if d := s.apply.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
}

// inSlowLab runs a test on three nodes with disks, which can be slowed down.
func inSlowLab(t *testing.T, f func(l *lab, of map[*labNode]*slowness)) {
	unformed(t, 3, true, func(l *lab) {
		of := map[*labNode]*slowness{}
		for i, n := range l.nodes {
			s := new(slowness)
			of[n] = s
			n.hooks.wrapStore = func(inner raftlog.Store) raftlog.Store {
				return delayedStore{inner,
					&s.write}
			}
			n.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
				return &kv{M: map[string]string{}, Restoring: s.restoring,
					Applying: s.applying}
			}}
			n.conf.Tuning.SnapshotBytes = 1 << 20
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		f(l, of)
		for _, s := range of {
			s.write.Store(0)
			s.restore.Store(0)
			s.apply.Store(0)
		}
	})
}

// keepsLeader writes through the leader for a while. Neither its term may end nor a write fail.
func keepsLeader(l *lab, leader *labNode, d time.Duration) {
	term, began, writes := leader.instance().raft.CurrentTerm(), time.Now(), 0
	for time.Since(began) < d {
		if err := leader.propose(30*time.Second, "set x %d", writes); err != nil {
			l.t.Errorf("after %v and %d writes: %v", time.Since(began), writes, err)
			return
		}
		writes++
		time.Sleep(20 * time.Millisecond) // a write may take no time at all
	}
	now := leader.instance().raft.CurrentTerm()
	l.t.Logf("%d writes in %v, %d elections", writes, time.Since(began), now-term)
	if now != term {
		l.t.Errorf("%d elections", now-term)
	}
}

// A leader whose followers all have a slow disk leads on: its lease is 250 ms, and their raft is inside a
// write for longer.
func TestSlowDisksKeepTheirLeader(t *testing.T) {
	for _, takes := range []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond} {
		t.Run(takes.String(), func(t *testing.T) {
			inSlowLab(t, func(l *lab, of map[*labNode]*slowness) {
				leader, others := l.leader()
				for _, o := range others {
					of[o].write.Store(int64(takes))
				}
				keepsLeader(l, leader, time.Minute)
			})
		})
	}
}

// The state machines of the followers are slower than the leader's, so their raft waits for room in its queue
// to them, for as long as a command takes. Meanwhile they still count for the leader's lease. The farm goes
// on at their pace.
//
// Slow: five minutes of writes, in fake time.
func TestSlowMachinesKeepTheLeader(t *testing.T) {
	inSlowLab(t, func(l *lab, of map[*labNode]*slowness) {
		leader, others := l.leader()
		for _, o := range others {
			of[o].apply.Store(int64(time.Second))
		}
		keepsLeader(l, leader, 5*time.Minute)
	})
}

// A follower that is restoring a snapshot counts for the lease of its leader, which hears nobody else.
// Slow: 5 MB of writes put a follower behind the log, and it restores for three seconds.
func TestSlowRestoreKeepsTheLeader(t *testing.T) {
	inSlowLab(t, func(l *lab, of map[*labNode]*slowness) {
		leader, others := l.leader()
		behind, dead := others[0], others[1]
		l.cut(behind)
		for range 2 * leastTrailing {
			leader.must("set big %s", strings.Repeat("x", 10<<10))
		}
		time.Sleep(2 * snapshotCheck) // a snapshot is taken, and the log no longer has what it holds
		of[behind].restore.Store(int64(3 * time.Second))
		dead.conf.Tuning.DeadAfter = -1
		l.net.Heal()
		time.Sleep(50 * time.Millisecond)
		l.cut(dead)
		keepsLeader(l, leader, 20*time.Second)
		if of[behind].restores.Load() == 0 {
			l.t.Error("no snapshot was restored")
		}
	})
}
