package cluster

import (
	"context"
	"sync"

	"github.com/hashicorp/raft"
)

// A follower learns that an entry is committed only with the leader's next append, up to twice the commit
// timeout later. A node whose proposal was just answered knows better, and so does one that the leader has
// told (notice.go): the leader of term t has committed index i, and i was appended in t. The nudger tells its
// own raft exactly this, as the empty append the leader would have sent. raft checks it like any other: an
// older term is ignored, and a log that has not this very entry refuses.
type nudger struct {
	*core
	transport *transport
	wake      chan struct{} // holds one: something was wanted

	mu     sync.Mutex
	next   nudge // the first that raft is to be told, when the log goes that far; zero = none
	newest nudge
}

type nudge struct {
	index, term uint64
	leader      string // server ID
}

func newNudger(c *core, t *transport) *nudger {
	return &nudger{core: c, transport: t, wake: make(chan struct{}, 1)}
}

// after reports whether w says more than other.
func (w nudge) after(other nudge) bool {
	return w.term > other.term || w.term == other.term && w.index > other.index
}

// nudge asks for index to be applied here as soon as the log has it. It does not wait.
func (n *nudger) nudge(w nudge) {
	if w.term == 0 || n.node.progress.load() >= w.index {
		return
	}
	n.mu.Lock()
	if w.after(n.newest) {
		n.newest = w
	}
	n.mu.Unlock()
	signal(n.wake)
}

// run tells raft what it is to be told. Of a log that falls behind what is committed it would always want
// more than that has; so the first wish stays until it is met, and then the newest is next.
func (n *nudger) run(ctx context.Context) {
	for {
		more := n.grown.more.Next() // before last is looked at, so that nothing falls in between
		w := n.wanted()
		if w.term > 0 && n.grown.last.Load() >= w.index {
			if n.node.progress.load() < w.index {
				n.transport.tell(ctx, w.request())
			}
			n.met(w)
			continue
		}
		if w.term == 0 {
			more = nil
		}
		select {
		case <-more:
		case <-n.wake:
		case <-ctx.Done():
			return
		}
	}
}

// wanted returns what raft is to be told next. A wish of an earlier term than the newest may never be met.
func (n *nudger) wanted() nudge {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next.term < n.newest.term {
		n.next = n.newest
	}
	return n.next
}

// met notes that raft was told w.
func (n *nudger) met(w nudge) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next = n.newest; !n.next.after(w) {
		n.next, n.newest = nudge{}, nudge{}
	}
}

func (w nudge) request() *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(w.leader),
			Addr: []byte(w.leader)},
		Term:              w.term,
		PrevLogEntry:      w.index,
		PrevLogTerm:       w.term,
		LeaderCommitIndex: w.index,
	}
}
