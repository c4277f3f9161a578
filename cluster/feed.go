package cluster

import (
	"context"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/line"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// reachedPatience is how long a follower that is heard to have what a snapshot brought it may take to say so.
const reachedPatience = 10 * time.Second

// InstallSnapshot sends a snapshot and waits until it is restored, which takes as long as it takes: while it
// does, the follower answers heartbeats. It is over when the follower does not, or says that it takes in
// nothing, or is known from gossip to be done while its answer does not come.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress,
	args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	f := t.layer.followers.of(string(target))
	defer f.feed(args.LastLogIndex, args.Size)()
	defer f.line.Await(t.restores(&f.line, string(target), args.LastLogIndex))()
	return t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
}

// restores returns what reports whether a follower may still be taking in the snapshot to an index. That it
// lives, as heartbeats tell, is not enough: the connection that carries the snapshot may have vanished
// without a trace, and the others work. So the follower is asked. It may need some time to say yes, since
// bytes are on the line before it sees any.
func (t *transport) restores(l *line.Line, server string, index uint64) func() bool {
	var idle time.Time // since when it has the state already, or knows of no snapshot
	return func() bool {
		switch {
		case !l.Alive():
			return false
		case t.reached(server) < index && t.takesIn(server):
			idle = time.Time{}
		case idle.IsZero():
			idle = time.Now()
		}
		return idle.IsZero() || time.Since(idle) < reachedPatience
	}
}

// feeding knows whether there is sense in sending a server more.
type feeding struct {
	*core
}

// mayTakeIn asks a server whether it takes in a snapshot. One that does not answer may; so may an old
// program.
func (f *feeding) mayTakeIn(server string) bool {
	ctx, cancel := context.WithTimeout(f.node.ctx, appliedPatience)
	defer cancel()
	out, _, err := f.node.peers.Call(ctx, wire.NodeOf(server), wire.MethodTakesIn, nil)
	if err != nil {
		return true
	}
	r := wire.NewReader(out)
	takes := r.Byte() != 0
	return takes || r.End() != nil
}

// answerTakesIn says whether this node takes in a snapshot: it comes, or is being restored.
func (t *transport) answerTakesIn() []byte {
	return []byte{wire.BoolByte(t.inbound.Load() > 0 || t.installing.Load() != nil)}
}
