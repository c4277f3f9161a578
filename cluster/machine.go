package cluster

import (
	"context"
	"io"
	"time"
)

// StateMachine is one replicated state: what session and configsync implement, without importing this package.
//
// Apply, Snapshot and Restore are called by one goroutine, one at a time; Query, and the WriterTo that Snapshot
// returned, run beside them.
type StateMachine interface {
	// Apply carries out one command. It must be deterministic: the same commands at the same indexes and times give
	// the same state and the same answers on every node. A refusal is an answer. now is the log's own time, which
	// never goes back; it is not the clock of the machine. cmd must not be kept or changed after Apply returned.
	Apply(index uint64, now time.Time, cmd []byte) []byte

	// Query answers q from the present state.
	Query(q []byte) []byte

	// Snapshot returns a frozen view of the state, cheaply; it is written while Apply goes on.
	Snapshot() io.WriterTo

	// Restore replaces the whole state by what a Snapshot wrote.
	Restore(r io.Reader) error
}

// A Handle is a client of one replicated state machine. It works on every member, wherever the leader is.
type Handle struct {
	node *Node
	name string
}

// Handle returns the client of the state machine called name. It panics if Config.Machines has none of that name.
func (n *Node) Handle(name string) *Handle { panic("wip") }

// Propose replicates cmd and returns the index at which it was applied and the machine's answer. It returns once this
// node has applied it too. Retries are internal and never apply a command twice.
//
// Errors: ErrNoLeader (nothing left this node), ErrUncertain (ctx ended while the outcome was open), ErrTooLarge,
// ErrClosed, or ctx's own error if it ended before the command left this node.
func (h *Handle) Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error) {
	panic("wip")
}

// Query asks the leader's copy of the machine; the answer is at least as new as anything acknowledged before the call.
func (h *Handle) Query(ctx context.Context, q []byte) ([]byte, error) { panic("wip") }

// Barrier returns when what this node reads afterwards is at least as new as anything acknowledged, anywhere, before
// the call.
func (h *Handle) Barrier(ctx context.Context) error { panic("wip") }

// Wait returns when this node has applied index.
func (h *Handle) Wait(ctx context.Context, index uint64) error { panic("wip") }

// Applied returns the index of the last command this node has applied.
func (h *Handle) Applied() uint64 { panic("wip") }

// Contact returns the age of this node's last proof that it knows everything committed: how stale a local read may be.
func (h *Handle) Staleness() time.Duration { panic("wip") }

// Local returns this node's own copy of the machine, for local reads. It may be another value after the node replaced
// its Raft instance, so ask each time.
func (h *Handle) Local() StateMachine { panic("wip") }
