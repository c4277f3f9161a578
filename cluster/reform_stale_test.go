package cluster

import (
	"bytes"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// replaceInTurn kills nodes and starts them again, one after the other, each once the next incarnation of the former votes.
func (l *lab) replaceInTurn(nodes ...*labNode) {
	l.t.Helper()
	for _, n := range nodes {
		n.kill()
		n.start()
		l.ready(n)
		l.until(time.Minute, "its successor votes", func() bool { return voteAt(n, n.instance().server) == raft.Voter })
	}
}

// A node is cut off while every other one is killed and started again, one after the other, with a quorum all along. All
// the voters it knows are gone for certain, and yet the farm lives: in their next incarnations. It must not carry on with
// what it has.
func TestFarmLivesInNewIncarnations(t *testing.T) {
	together(t, 5, false, func(l *lab) {
		leader, others := l.leader()
		before := leader.State().ClusterID
		stale, rest := others[0], append(others[1:], leader)
		l.cut(stale)
		l.replaceInTurn(rest...)
		l.fill(rest[0], "k", rest...)
		l.net.Heal()
		l.ready(l.nodes...)
		time.Sleep(time.Minute)
		l.agree()
		for _, n := range l.nodes {
			if id := n.State().ClusterID; id != before {
				t.Errorf("%s has cluster ID %s, was %s: a living farm was re-formed", n.conf.Name, id, before)
			}
			l.filled(n, "k")
		}
	})
}

// The same, but raft's own connections come last: the node has time to look around before the leader finds it.
func TestFarmLivesOutOfRaftsSight(t *testing.T) {
	together(t, 5, false, func(l *lab) {
		leader, others := l.leader()
		before := leader.State().ClusterID
		stale, rest := others[0], append(others[1:], leader)
		l.cut(stale)
		l.replaceInTurn(rest...)
		l.fill(rest[0], "k", rest...)
		if err := stale.succeed(l.ctx(time.Minute), stale.self().cluster, nil); err == nil {
			t.Error("the node that is cut off re-formed the farm")
		}
		l.net.Heal()
		for range 100 {
			if err := stale.succeed(l.ctx(time.Minute), stale.self().cluster, nil); err == nil {
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

// A follower has taken in a snapshot of which its state machines have seen nothing yet when its Raft ends. What it
// carries on with is the snapshot.
func TestSnapshotNotYetRestored(t *testing.T) {
	together(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		behind := others[0]
		l.cut(behind)
		l.fill(leader, "k", leader, others[1])
		var backup bytes.Buffer
		if _, err := leader.WriteSnapshot(&backup); err != nil {
			t.Fatal(err)
		}
		in, index, term := leader.instance(), uint64(0), uint64(0)
		index, _ = in.fsm.view()
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
		sink, err := b.snaps.Create(raft.SnapshotVersionMax, index, term, configuration, 1, b.transport)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Write(backup.Bytes()); err != nil {
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

// A node that never votes holds more than the last voter: what it holds was perhaps acknowledged, and is not given up.
func TestFrontHoldsMost(t *testing.T) {
	unformed(t, 4, false, func(l *lab) {
		front := l.nodes[3]
		l.symmetric()
		for _, n := range l.nodes[:3] {
			n.conf.Join = n.conf.Join[:3]
			n.start()
		}
		front.conf.Role = Front
		front.start()
		l.ready(l.nodes...)
		leader, others := l.leader()
		behind := others[0]
		if behind == front {
			behind = others[1]
		}
		l.fill(leader, "k", l.nodes...)
		l.cut(behind)
		var lost []*labNode
		for _, n := range l.nodes[:3] {
			if n != behind {
				lost = append(lost, n)
			}
		}
		l.fill(leader, "more", lost[0], lost[1], front)
		for _, n := range lost {
			n.kill()
		}
		l.net.Heal()
		time.Sleep(5 * time.Second)
		for _, n := range lost {
			n.start()
		}
		l.ready(l.nodes...)
		for _, n := range l.nodes {
			l.filled(n, "k")
			l.filled(n, "more")
		}
		l.until(time.Minute, "the voters are the ordinary ones", func() bool {
			return voteAt(behind, front.instance().server) == raft.Nonvoter && len(behind.instance().voters()) == 3
		})
	})
}

// All the voters are gone, and only a node that never votes has the state.
func TestOnlyFrontIsLeft(t *testing.T) {
	unformed(t, 4, false, func(l *lab) {
		front := l.nodes[3]
		l.symmetric()
		front.conf.Role = Front
		for i, n := range l.nodes {
			if i < 3 {
				n.conf.Join = n.conf.Join[:3]
			}
			n.start()
		}
		l.ready(l.nodes...)
		leader, _ := l.leader()
		l.fill(leader, "k", l.nodes...)
		for _, n := range l.nodes[:3] {
			n.kill()
		}
		time.Sleep(5 * time.Second)
		for _, n := range l.nodes[:3] {
			n.conf.Join = append(n.conf.Join, front.Addr())
			n.conf.Expect = 3
			n.start()
		}
		l.ready(l.nodes...)
		for _, n := range l.nodes {
			l.filled(n, "k")
		}
		l.until(time.Minute, "the voters are the ordinary ones", func() bool {
			return voteAt(front, front.instance().server) == raft.Nonvoter && len(front.instance().voters()) == 3
		})
		l.nodes[0].must("set after 1")
	})
}
