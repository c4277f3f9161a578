package cluster

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// An entry is committed when a majority has it on its disk, and the others apply it when they have it, too:
// up to 25 ms later, on disks that have other work. Where all nodes are to apply it at nearly the same
// moment, the node that leads waits for them before it applies the entry itself and tells anybody that it is
// committed.
type unison struct {
	wanted atomic.Int32 // proposals of this node that ask for it
	// up to where this node has begun to apply; while it is wanted, followers are told of no commit beyond
	released atomic.Uint64
}

const (
	unisonPatience = 25 * time.Millisecond // that the others are waited for; all else waits as long
	unisonLook     = 200 * time.Microsecond
)

// ProposeTogether is Propose for a command that all nodes are to apply at nearly the same moment. Before it
// is applied anywhere, the nodes that answer have it on their disks, or 25 ms have passed. It is for what is
// rare, since every command behind it waits as long, and has no effect on a node that does not lead.
func (h *Handle) ProposeTogether(ctx context.Context, cmd []byte) (index uint64, value []byte, err error) {
	w := &h.node.unison.wanted
	w.Add(1)
	defer w.Add(-1)
	return h.Propose(ctx, cmd)
}

// awaiting waits, before an entry is applied here, for those who follow to have it.
type awaiting struct {
	*tenure
}

// followers waits until those that follow have the log up to last, which is applied next, if that is
// wanted.
func (a *awaiting) followers(last uint64) {
	if a.in.node.unison.wanted.Load() == 0 {
		return
	}
	for end := time.Now().Add(unisonPatience); !a.allHave(last) && time.Now().Before(end); {
		if !sleep.For(a.ctx, unisonLook) {
			return
		}
	}
}

// allHave reports whether all that follow and answer have an entry.
func (a *awaiting) allHave(index uint64) bool {
	for _, srv := range a.in.configuration().Servers {
		if string(srv.ID) == a.in.server {
			continue
		}
		f := a.in.transport.layer.followers.known(string(srv.Address))
		if f == nil || !f.line.Alive() {
			continue
		}
		if at, _, fed := f.known(); at < index && !fed {
			return false
		}
	}
	return true
}

// bound lowers a commit index that a follower is told to what it may know by now: raft knows of a commit
// while this node still applies what comes before.
func (t *unison) bound(commit uint64) uint64 {
	if t == nil || t.wanted.Load() == 0 {
		return commit
	}
	return min(commit, t.released.Load())
}
