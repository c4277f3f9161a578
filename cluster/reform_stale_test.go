package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// replaceInTurn kills nodes and starts them again, one after the other, each once the next incarnation of the
// former votes.
func (l *lab) replaceInTurn(nodes ...*labNode) {
	l.t.Helper()
	for _, n := range nodes {
		n.kill()
		n.start()
		l.ready(n)
		l.until(time.Minute, "its successor votes",
			func() bool { return voteAt(n, n.instance().server) == raft.Voter })
	}
}

// The same, but raft's own connections come last: the node has time to look around before the leader finds
// it.
// Slow: four of five nodes are replaced one after the other, and asked a hundred times.
func TestFarmLivesOutOfRaftsSight(t *testing.T) {
	t.Parallel()
	together(t, 5, false, func(l *lab) {
		leader, others := l.leader()
		before := leader.State().ClusterID
		stale, rest := others[0], append(others[1:], leader)
		l.cut(stale)
		l.replaceInTurn(rest...)
		l.fill(rest[0], "k", rest...)
		if err := stale.recovery.succeed(l.ctx(time.Minute), stale.self().cluster, nil); err == nil {
			t.Error("the node that is cut off re-formed the farm")
		}
		l.net.Heal()
		for range 100 {
			if err := stale.recovery.succeed(l.ctx(time.Minute), stale.self().cluster, nil); err == nil {
				t.Fatal("a living farm was re-formed")
			}
			time.Sleep(10 * time.Millisecond)
		}
		l.ready(l.nodes...)
		if id := stale.State().ClusterID; id != before {
			t.Errorf("cluster ID %s, was %s", id, before)
		}
		l.agree()
		l.filled(stale, "k")
	})
}

// A follower has taken in a snapshot of which its state machines have seen nothing yet when its Raft ends.
// What it carries on with is the snapshot.
func TestSnapshotNotYetRestored(t *testing.T) {
	t.Parallel()
	together(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		behind := others[0]
		l.cut(behind)
		l.fill(leader, "k", leader, others[1])
		backup := snapshotOf(l.t, leader)
		in, index, term := leader.instance(), uint64(0), uint64(0)
		index, _ = in.fsm.View()
		if term = in.raft.CurrentTerm(); term == 0 {
			t.Fatal("no term")
		}
		lost := []string{leader.ID(), others[1].ID()}
		configuration := in.configuration()
		leader.kill()
		others[1].kill()
		b := behind.instance()
		if err := b.standDown(); err != nil {
			t.Fatal(err)
		}
		sink, err := b.storage.snaps.Create(raft.SnapshotVersionMax, index, term, configuration, 1, b.transport)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Write(backup); err != nil {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		if err := behind.Recover(l.ctx(time.Minute), lost); err != nil {
			t.Fatal(err)
		}
		behind.must("set after 1")
		l.filled(behind, "k")
		l.net.Heal()
		leader.start()
		others[1].start()
		l.ready(l.nodes...)
		l.filled(leader, "k")
	})
}
