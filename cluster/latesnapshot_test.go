package cluster

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// sentSnapshot is a snapshot as a leader sends it.
type sentSnapshot struct {
	req   *raft.InstallSnapshotRequest
	state io.Reader
}

// snapshotBeyond has a leader write until it has a snapshot that reaches beyond an index, and returns that.
func (l *lab) snapshotBeyond(leader *labNode, index uint64) sentSnapshot {
	l.t.Helper()
	in := leader.instance()
	for range 20 {
		leader.must("noop %s", strings.Repeat("x", 20<<10))
	}
	var list []*raft.SnapshotMeta
	l.until(time.Minute, "a snapshot", func() bool {
		list, _ = in.storage.snaps.List()
		return len(list) > 0 && list[0].Index > index
	})
	meta, state, err := in.storage.snaps.Open(list[0].ID)
	if err != nil {
		l.t.Fatal(err)
	}
	return sentSnapshot{&raft.InstallSnapshotRequest{RPCHeader: in.transport.header(),
		SnapshotVersion: meta.Version, Term: in.raft.CurrentTerm(), Leader: []byte(in.server),
		LastLogIndex: meta.Index, LastLogTerm: meta.Term, Size: meta.Size,
		Configuration: raft.EncodeConfiguration(meta.Configuration), ConfigurationIndex: meta.ConfigurationIndex},
		state}
}

// send sends it to a node, over another connection than raft's own.
func (s sentSnapshot) send(by, to *labNode) error {
	var answer raft.InstallSnapshotResponse
	server := to.instance().server
	err := by.instance().transport.NetworkTransport.InstallSnapshot(raft.ServerID(server),
		raft.ServerAddress(server), s.req, &answer, s.state)
	if err == nil && !answer.Success {
		err = fmt.Errorf("answered %+v", answer)
	}
	return err
}

// A snapshot that was sent over a connection which was given up since arrives late, in the same term, at a
// follower that is further by now. It takes nothing back.
// Slow: two durable followers are fed snapshots.
func TestLateSnapshot(t *testing.T) {
	t.Parallel()
	unformed(t, 3, true, func(l *lab) {
		for i, n := range l.nodes {
			if n.conf.Tuning.SnapshotBytes = 64 << 10; i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		leader, others := l.leader()
		late := others[0]
		old := l.snapshotBeyond(leader, 0)
		leader.must("set k new")
		l.until(time.Minute, "the write", func() bool { return late.get("k") == "new" })
		before, _ := late.instance().fsm.View()
		if err := old.send(leader, late); err != nil {
			t.Error(err)
		}
		if after, _ := late.instance().fsm.View(); after < before || late.get("k") != "new" {
			t.Errorf("applied %d, then %d; k = %q", before, after, late.get("k"))
		}
		leader.must("set k newer")
	})
}

// The same snapshot arrives while raft takes in a later one, which the node does not have yet.
// Slow: two durable followers are fed snapshots.
func TestLateSnapshotBehindAnother(t *testing.T) {
	t.Parallel()
	unformed(t, 3, true, func(l *lab) {
		var restore atomic.Int64 // nanoseconds
		for i, n := range l.nodes {
			n.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
				return &kv{M: map[string]string{}, Restoring: func() { time.Sleep(time.Duration(restore.Load())) }}
			}}
			if n.conf.Tuning.SnapshotBytes = 64 << 10; i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		leader, others := l.leader()
		late, other := others[0], others[1]
		l.net.Cut(leader.ip, late.ip)
		old := l.snapshotBeyond(leader, late.instance().last())
		leader.must("set k new")
		newer := l.snapshotBeyond(leader, old.req.LastLogIndex)
		restore.Store(int64(2 * time.Second))
		sent := make(chan error, 1)
		go func() { sent <- newer.send(other, late) }() // in the leader's name
		time.Sleep(time.Second)
		if err := old.send(other, late); err == nil || !strings.Contains(err.Error(), errOldSnapshot.Error()) {
			t.Errorf("the old one was answered by %v", err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if at, _ := late.instance().fsm.View(); at < newer.req.LastLogIndex || late.get("k") != "new" {
			t.Errorf("applied %d after a snapshot that reaches to %d; k = %q", at, newer.req.LastLogIndex,
				late.get("k"))
		}
	})
}
