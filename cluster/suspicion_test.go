package cluster

import (
	"fmt"
	"testing"
	"time"
)

// A leader whose process is gone is followed by another as soon as its lease may be over, whatever the
// number of voters: they give it up at one moment, and the first of them gets all votes.
// Slow: farms of up to seven nodes lose their leader three times each.
func TestElectionWithoutSplitVotes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 5, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			together(t, n, false, func(l *lab) {
				for range 3 {
					l.ready(l.nodes...)
					time.Sleep(10 * time.Second) // all have their votes
					leader, others := l.leader()
					term, begin := leader.instance().raft.CurrentTerm(), time.Now()
					l.net.Down(leader.ip)
					next, _ := l.leader(others...)
					took, limit := time.Since(begin), next.cfg.Tuning.Heartbeat*6/10
					if elections := next.instance().raft.CurrentTerm() - term; took > limit || elections != 1 {
						t.Errorf("after %v, in the election %d", took, elections)
					}
					leader.stop()
					l.net.Up(leader.ip)
					leader.start()
				}
			})
		})
	}
}

// A candidate that comes first but lacks entries is refused by the others. Then the next one asks.
func TestNextLeaderHasAll(t *testing.T) {
	t.Parallel()
	together(t, 3, false, func(l *lab) {
		l.ready(l.nodes...)
		leader, others := l.leader()
		first, second := others[0], others[1]
		server := leader.self().server
		if first.instance().suspecting.rankBeside(server) > second.instance().suspecting.rankBeside(server) {
			first, second = second, first
		}
		l.net.Delay(leader.ip, first.ip, 100*time.Millisecond)
		leader.must("set a yes")
		begin := time.Now()
		l.net.Down(leader.ip)
		next, _ := l.leader(first, second)
		if took, limit := time.Since(begin), next.cfg.Tuning.Heartbeat*8/10; next != second || took > limit {
			t.Errorf("%s leads after %v", next.conf.Name, took)
		}
		leader.stop()
		l.net.Up(leader.ip)
		l.calm()
		second.must("set b yes")
		leader.start()
		l.ready(l.nodes...)
	})
}

// A leader that lives is believed again soon after a false hint, and a later hint counts as much.
func TestFalseHint(t *testing.T) {
	t.Parallel()
	together(t, 3, false, func(l *lab) {
		l.ready(l.nodes...)
		leader, others := l.leader()
		term := leader.instance().raft.CurrentTerm()
		for range 3 {
			for _, o := range others {
				o.instance().suspecting.suspectLeader(leader.id)
				o.instance().suspecting.suspectLeader(leader.id)
			}
			time.Sleep(2 * time.Second)
			for _, o := range others {
				in := o.instance()
				if d := in.raft.ReloadableConfig().HeartbeatTimeout; d != o.cfg.Tuning.Heartbeat {
					t.Errorf("%s still waits for %v only", o.conf.Name, d)
				}
				if in.suspecting.suspected.of(leader.self().server) {
					t.Errorf("%s still suspects the leader", o.conf.Name)
				}
			}
		}
		if now := leader.instance().raft.CurrentTerm(); now != term || !leader.leads() {
			t.Errorf("a false hint made an election: term %d after %d", now, term)
		}
	})
}

// A hint may take hold in the moment after the next leader is known. Then it is forgotten like a false one.
func TestLateHint(t *testing.T) {
	t.Parallel()
	together(t, 3, false, func(l *lab) {
		l.ready(l.nodes...)
		_, others := l.leader()
		in := others[0].instance()
		half := in.node.cfg.Tuning.Heartbeat / 2
		hint := in.suspecting.suspected
		hint.begin("who led before", time.Now().Add(half), 0, func() { in.tuner.setHeartbeat(half) })
		in.suspecting.giveLeaderUp("who led before", half)
		if d := in.raft.ReloadableConfig().HeartbeatTimeout; d != 2*half || hint.of("who led before") {
			t.Errorf("the node waits for %v only, with a leader", d)
		}
	})
}
