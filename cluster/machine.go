package cluster

import (
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

	// Snapshot returns a frozen view of the state, cheaply; it is written while Apply goes on. Equal states write equal bytes,
	// however they came about: nodes compare them now and then.
	Snapshot() io.WriterTo

	// Restore replaces the whole state by what a Snapshot wrote.
	Restore(r io.Reader) error
}
