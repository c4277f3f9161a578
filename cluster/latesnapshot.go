package cluster

import (
	"errors"
	"io"

	"github.com/hashicorp/raft"
)

// A snapshot may come late: its sender has given up the connection, and has fed this node since. raft would
// put the state back to it and drop the log behind it, entries that were acknowledged here among them.

// ahead reports whether raft is as far as an index. The machines may not be yet: raft has handed them the
// entries.
func (c *core) ahead(index uint64) bool {
	return max(c.raft.AppliedIndex(), c.appliedIndex()) >= index
}

// passOver answers a snapshot that brings nothing new.
func (t *transport) passOver(rpc raft.RPC, req *raft.InstallSnapshotRequest) {
	_, err := io.Copy(io.Discard, rpc.Reader)
	rpc.Respond(&raft.InstallSnapshotResponse{RPCHeader: t.header(), Term: req.Term, Success: err == nil},
		err)
}

var errOldSnapshot = errors.New("this node has got further than the snapshot while that waited for raft")

// firstLook is a snapshot that raft is given. Raft may be at another one then, so it is looked once more
// whether it brings anything new, on raft's own goroutine, where nothing can happen in between.
type firstLook struct {
	io.Reader
	ahead  func() bool
	looked bool
}

func (f *firstLook) Read(p []byte) (int, error) {
	if !f.looked {
		if f.looked = true; f.ahead() {
			io.Copy(io.Discard, f.Reader) // what is left would be taken for requests
			return 0, errOldSnapshot
		}
	}
	return f.Reader.Read(p)
}
