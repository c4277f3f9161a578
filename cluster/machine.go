package cluster

import (
	"io"
	"time"
)

// StateMachine is one replicated state: what session and configsync implement, without importing this
// package.
//
// Apply, Snapshot and Restore are called by one goroutine, one at a time; Query, and the WriterTo that
// Snapshot returned, run beside them, and so does whoever reads the machine by Handle.Local. So a machine
// guards its own state.
//
// A test of a machine needs no cluster: give the same commands to two of them, to one of them across a
// Snapshot and a Restore, and compare all answers, and what Snapshot writes in the end.
//
// Bytes have one owner. cmd and q belong to the caller: a machine does not change them, and keeps no part of
// them when it has returned; cmd is a piece of the log. What Apply returns is copied before the machine is
// called again. What Query returns is copied later, beside Apply, so the machine must not change it: it is
// made for the call, or a part of the state that is only ever replaced. A reader given to Restore is not used
// any more when that has returned.
type StateMachine interface {
	// Apply carries out one command. It must be deterministic: the same commands at the same indexes and
	// times give the same state and the same answers on every node. A refusal is an answer. now is the log's
	// own time, which never goes back; it is not the clock of the machine.
	//
	// A machine must not pass over a command that it does not know: it panics with an error that wraps
	// ErrVersion, having changed nothing, and the node ends. Config.Levels says how new commands keep away
	// from old programs. After any other panic the node ends by ErrMachine.
	Apply(index uint64, now time.Time, cmd []byte) []byte

	// Query answers q from the present state. What it does not know it answers with nothing.
	Query(q []byte) []byte

	// Snapshot returns a frozen view of the state, cheaply; it is written while Apply goes on, perhaps twice,
	// and is the same each time. Equal states write equal bytes, however they came about, in every program
	// that speaks the same protocol level: nodes compare them now and then. A new field is written from a
	// level on that Config.Levels declares, so that programs with and without it write the same below that. A
	// panic while it is written ends the node by ErrMachine.
	Snapshot() io.WriterTo

	// Restore replaces the whole state by what a Snapshot wrote. It is called once, on a machine that has
	// just been made and that nobody else has seen; others are read meanwhile.
	Restore(r io.Reader) error
}
