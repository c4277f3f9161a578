package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// Front and Staging nodes have the state, may write and read, and never vote or found.
func TestRolesThatNeverVote(t *testing.T) {
	for _, role := range []Role{Front, Staging} {
		t.Run(string(role), func(t *testing.T) {
			inLab(t, 2, false, func(l *lab) {
				n := &labNode{lab: l, ip: "10.0.0.7", conf: Config{Name: "r", Role: role, Listen: "10.0.0.7:7946",
					Join: []string{l.nodes[0].Addr()}, Secrets: l.nodes[0].conf.Secrets}}
				n.start()
				l.nodes = append(l.nodes, n)
				l.ready(n)
				n.must("append x 1")
				time.Sleep(time.Minute)
				leader, _ := l.leader()
				if v := voteAt(leader, n.instance().server); v != raft.Nonvoter {
					l.t.Errorf("a %s node has suffrage %v", role, v)
				}
				l.agree()
			})
		})
	}
}

func TestRolesThatNeverFound(t *testing.T) {
	inLab(t, 0, false, func(l *lab) {
		n := &labNode{lab: l, ip: "10.0.0.7", conf: Config{Name: "r", Role: Staging, Listen: "10.0.0.7:7946",
			Secrets: []string{"6b1f0e0b5d0c4c0c9a4e8f2d7a3b1c5d"}}}
		n.start()
		if err := n.Ready(l.ctx(time.Minute)); err == nil {
			l.t.Error("a staging node founded a farm")
		}
		if err := n.propose(time.Second, "append x 1"); !errors.Is(err, ErrNoLeader) {
			l.t.Errorf("Propose: %v, want ErrNoLeader", err)
		}
		n.stop()
	})
}

// A node that voted comes back in a role that does not: it keeps its log and loses its vote, the leader of before too.
func TestVoterBecomesStaging(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			inLab(t, 3, true, func(l *lab) {
				n := l.nodes[i]
				n.stop()
				n.conf.Role, n.conf.Join = Staging, []string{l.nodes[(i+1)%3].Addr()}
				n.start()
				l.ready(n)
				l.waitFor("it has no vote", func() bool {
					leader, _ := l.leader()
					return leader != n && voteAt(leader, n.instance().server) == raft.Nonvoter
				})
				n.must("append x 1")
			})
		})
	}
}

// Two of two nodes change their roles; one, the last voter, must keep its vote.
func TestLastVoterKeepsItsVote(t *testing.T) {
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		n.stop()
		n.conf.Role = Staging
		n.start()
		l.ready(n)
		n.must("append x 1")
		if v := voteAt(n, n.instance().server); v != raft.Voter {
			l.t.Errorf("the last voter has suffrage %v", v)
		}
	})
}
