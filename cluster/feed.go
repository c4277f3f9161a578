package cluster

import (
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/line"
)

// reachedPatience is how long a follower that is heard to have what a snapshot brought it may take to say so.
const reachedPatience = 10 * time.Second

// InstallSnapshot sends a snapshot and waits until it is restored, which takes as long as it takes: while it does, the follower
// answers heartbeats. It is over when the follower does not, or is known from gossip to be done while its answer does not come.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	f := t.layer.followers.of(string(target))
	defer f.feed(args.LastLogIndex, args.Size)()
	defer f.line.Await(restores(&f.line, func() bool { return t.reached(string(target)) >= args.LastLogIndex }))()
	return t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
}

// restores returns what reports whether a follower may still be restoring a snapshot; done reports whether it is known to be ready.
func restores(l *line.Line, done func() bool) func() bool {
	var since time.Time
	return func() bool {
		switch {
		case !done():
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		}
		return l.Alive() && (since.IsZero() || time.Since(since) < reachedPatience)
	}
}
