package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// The only voter of a memory farm stops just when another node has come in: it must not take the state with it.
func TestLastVoterWaitsForItsSuccessor(t *testing.T) {
	inLab(t, 1, false, func(l *lab) {
		a := l.nodes[0]
		a.must("append x 1")
		b := &labNode{lab: l, ip: "10.0.0.2", conf: Config{Name: "n2", Listen: "10.0.0.2:7946", Join: []string{a.Addr()},
			Secrets: a.conf.Secrets}}
		l.nodes = append(l.nodes, b)
		l.net.Delay(b.ip, a.ip, 200*time.Millisecond) // or it would have its vote before anybody could look
		b.start()
		l.waitFor("n2 is in the configuration", func() bool { return voteAt(a, b.instance().server) != absent })
		if v := voteAt(a, b.instance().server); v != raft.Nonvoter {
			l.t.Fatalf("n2 is %v already", v)
		}
		l.net.Delay(b.ip, a.ip, 0)
		a.stop()
		l.ready(b)
		b.must("append x 2")
		if got := b.get("x"); got != "1,2," {
			l.t.Errorf("x = %q", got)
		}
	})
}

// Two nodes: either may stop and come back, in both modes, and what was written stays.
func TestTwoNodesTakeTurns(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			inLab(t, 2, durable, func(l *lab) {
				want := ""
				for i := range 4 {
					n, other := l.nodes[i%2], l.nodes[1-i%2]
					n.must("append x %d", i)
					want += fmt.Sprintf("%d,", i)
					n.conf.Join = []string{other.Addr()}
					n.stop()
					if !durable {
						other.must("append y %d", i)
					}
					n.start()
					l.ready(n)
				}
				l.agree()
				if got := l.nodes[0].get("x"); got != want {
					l.t.Errorf("x = %q, want %q", got, want)
				}
			})
		})
	}
}

// The leader of two leaves, and the one that stays goes on alone; so does a node whose only other one leaves.
func TestLeaveOfOneOfTwo(t *testing.T) {
	for _, durable := range []bool{false, true} {
		for _, leads := range []bool{false, true} {
			t.Run(fmt.Sprintf("durable=%v,leads=%v", durable, leads), func(t *testing.T) {
				inLab(t, 2, durable, func(l *lab) {
					leader, others := l.leader()
					leaves, stays := leader, others[0]
					if !leads {
						leaves, stays = stays, leaves
					}
					leaves.must("append x 1")
					began := time.Now()
					leaves.up = false
					if err := leaves.Leave(l.ctx(20 * time.Second)); err != nil {
						l.t.Fatal(err)
					}
					if d := time.Since(began); d > 5*time.Second {
						l.t.Errorf("leaving took %v", d)
					}
					stays.must("append x 2")
					if s := stays.instance().configuration().Servers; len(s) != 1 {
						l.t.Errorf("the configuration is %v", s)
					}
					leaves.conf.Join = []string{stays.Addr()}
					leaves.start()
					l.ready(leaves)
					leaves.must("append x 3")
					if got := leaves.get("x"); got != "1,2,3," {
						l.t.Errorf("x = %q", got)
					}
				})
			})
		}
	}
}

// The last node leaves: there is no farm any more, and its directory belongs to nobody.
func TestLeaveOfTheLast(t *testing.T) {
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		n.must("append x 1")
		was := n.State().ClusterID
		n.up = false
		if err := n.Leave(l.ctx(10 * time.Second)); err != nil {
			l.t.Fatal(err)
		}
		n.start()
		l.ready(n)
		if s := n.State(); s.ClusterID == was || n.get("x") != "" {
			l.t.Errorf("after the last node left, its directory founded %s, was %s, with x = %q", s.ClusterID, was, n.get("x"))
		}
	})
}

// A node that could not leave in time is still a member, whatever became of its request, and can come back as one.
func TestLeaveThatEndsTooEarly(t *testing.T) {
	for _, patience := range []time.Duration{0, time.Millisecond, 30 * time.Millisecond} {
		t.Run(patience.String(), func(t *testing.T) {
			inLab(t, 3, true, func(l *lab) {
				leader, others := l.leader()
				n := others[0]
				l.net.Delay(n.ip, leader.ip, 20*time.Millisecond)
				l.net.Delay(leader.ip, n.ip, 20*time.Millisecond)
				n.up = false
				err := n.Leave(l.ctx(patience))
				l.net.Delay(n.ip, leader.ip, 0)
				l.net.Delay(leader.ip, n.ip, 0)
				n.conf.Join = []string{leader.Addr()}
				n.start()
				l.ready(n)
				n.must("append x 1")
				if err == nil && patience == 0 {
					l.t.Error("it left in no time")
				}
			})
		})
	}
}
