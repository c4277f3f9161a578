package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// A new node is ready when its vote is there for good. While it stands in the leader's log only, a new leader
// would take it back: if such a node counted as ready, the next stop of another one could cost the farm its
// majority.
func TestReadyWithAVoteThatIsCommitted(t *testing.T) {
	for name, slow := range map[string]func(node int) bool{
		"in no other log":             func(node int) bool { return node > 0 },
		"in the log of the newcomer":  func(node int) bool { return node == 1 },
		"in the newcomer's log first": func(node int) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			unformed(t, 3, false, func(l *lab) {
				for i, n := range l.nodes {
					if i > 0 {
						n.conf.Join = []string{"10.0.0.1:7946"}
					}
					if slow(i) {
						n.hooks.wrapStore = func(s raftlog.Store) raftlog.Store { return slowVotes{s} }
					}
				}
				for _, n := range l.nodes[:2] {
					n.start()
				}
				l.ready(l.nodes[:2]...)
				leader, _ := l.leader(l.nodes[:2]...)
				late := l.nodes[2]
				for _, n := range l.nodes[:2] { // what the newcomer has stored is known to nobody for a while
					l.net.Delay(late.ip, n.ip, 300*time.Millisecond)
				}
				late.start()
				l.ready(late)
				if !votesForGood(leader, late) {
					l.t.Errorf("it is ready, and the leader has not committed its vote")
				}
			})
		})
	}
}

// votesForGood reports whether a leader has applied the configuration in which n votes.
func votesForGood(leader, n *labNode) bool {
	s, _, err := leader.fsm().Freeze()
	return err == nil && slices.ContainsFunc(s.Configuration.Servers, func(srv raft.Server) bool {
		return string(srv.ID) == n.instance().server && srv.Suffrage == raft.Voter
	})
}

// slowVotes takes two seconds to store a configuration with three voters.
type slowVotes struct{ raftlog.Store }

func (s slowVotes) StoreLogs(logs []*raft.Log) error {
	for _, e := range logs {
		if e.Type == raft.LogConfiguration && len(votersOf(raft.DecodeConfiguration(e.Data))) == 3 {
			time.Sleep(2 * time.Second)
		}
	}
	return s.Store.StoreLogs(logs)
}

func votersOf(c raft.Configuration) (ids []string) {
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			ids = append(ids, string(s.ID))
		}
	}
	return ids
}
