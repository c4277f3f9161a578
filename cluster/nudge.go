package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A follower learns that an entry is committed only with the leader's next append, up to twice the commit timeout
// later. A node whose proposal was just answered knows better: the leader of term t has committed index i, and i was
// appended in t. The nudger tells its own raft exactly this, as the empty append the leader would have sent. raft checks
// it like any other: an older term is ignored, and a log that has not this very entry refuses.
type nudger struct {
	in   *instance
	mu   sync.Mutex
	want nudge
	wake chan struct{} // holds one: something was wanted
}

type nudge struct {
	index, term uint64
	leader      string // server ID
}

func newNudger(in *instance) *nudger {
	return &nudger{in: in, wake: make(chan struct{}, 1)}
}

// nudge asks for index to be applied here as soon as the log has it. It does not wait.
func (n *nudger) nudge(w nudge) {
	if w.term == 0 || n.in.node.progress.load() >= w.index {
		return
	}
	n.mu.Lock()
	if w.term > n.want.term || w.term == n.want.term && w.index > n.want.index {
		n.want = w
	}
	n.mu.Unlock()
	signal(n.wake)
}

func (n *nudger) run(ctx context.Context) {
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		n.mu.Lock()
		w := n.want
		n.mu.Unlock()
		if n.appended(ctx, w.index) && n.in.node.progress.load() < w.index {
			n.in.transport.tell(ctx, w.request())
		}
	}
}

// appended waits until the log has index; the entry is mostly there or on its way. It gives up soon: then the leader's
// own append will do.
func (n *nudger) appended(ctx context.Context, index uint64) bool {
	timeout := time.NewTimer(20 * time.Millisecond)
	defer timeout.Stop()
	for {
		more := n.in.grown.more.next() // before last is looked at, so that nothing falls in between
		if n.in.grown.last.Load() >= index {
			return true
		}
		select {
		case <-more:
		case <-timeout.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (w nudge) request() *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{
		RPCHeader:         raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(w.leader), Addr: []byte(w.leader)},
		Term:              w.term,
		PrevLogEntry:      w.index,
		PrevLogTerm:       w.term,
		LeaderCommitIndex: w.index,
	}
}
