package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

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
		for range 20 {
			leader.must("noop %s", strings.Repeat("x", 20<<10))
		}
		in := leader.instance()
		l.until(time.Minute, "a snapshot", func() bool { list, _ := in.storage.snaps.List(); return len(list) > 0 })
		list, err := in.storage.snaps.List()
		if err != nil {
			t.Fatal(err)
		}
		meta, state, err := in.storage.snaps.Open(list[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		leader.must("set k new")
		l.until(time.Minute, "the write", func() bool { return late.get("k") == "new" })
		before, _ := late.instance().fsm.View()
		req := &raft.InstallSnapshotRequest{RPCHeader: in.transport.header(), SnapshotVersion: meta.Version,
			Term: in.raft.CurrentTerm(), Leader: []byte(in.server), LastLogIndex: meta.Index,
			LastLogTerm: meta.Term,
			Size:        meta.Size, Configuration: raft.EncodeConfiguration(meta.Configuration),
			ConfigurationIndex: meta.ConfigurationIndex}
		var answer raft.InstallSnapshotResponse
		to := late.instance().server
		err = in.transport.NetworkTransport.InstallSnapshot(raft.ServerID(to), raft.ServerAddress(to), req,
			&answer, state)
		if err != nil || !answer.Success {
			t.Errorf("answered %v, %v", answer.Success, err)
		}
		if after, _ := late.instance().fsm.View(); after < before || late.get("k") != "new" {
			t.Errorf("applied %d, then %d; k = %q", before, after, late.get("k"))
		}
		leader.must("set k newer")
	})
}
