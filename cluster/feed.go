package cluster

import (
	"io"
	"time"

	"github.com/hashicorp/raft"
)

// reachedPatience is how long a follower that is heard to have what a snapshot brought it may take to say so.
const reachedPatience = 10 * time.Second

// InstallSnapshot sends a snapshot and waits until it is restored, which takes as long as it takes: while it does, the follower
// answers heartbeats. It is over when the follower does not, or is known from gossip to be done while its answer does not come.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	f := t.layer.followers.of(string(target))
	defer f.feed(args.LastLogIndex, args.Size)()
	var reached time.Time
	defer f.line.Await(func() bool {
		if t.reached(string(target)) < args.LastLogIndex {
			reached = time.Time{}
		} else if reached.IsZero() {
			reached = time.Now()
		}
		return f.line.Alive() && (reached.IsZero() || time.Since(reached) < reachedPatience)
	})()
	return t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
}
