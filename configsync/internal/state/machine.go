// Package state is the replicated state of a farm's releases: files of configuration, content by its hash, what
// was in force when, and how that came about.
package state

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Machine is the replicated state machine. Apply, Snapshot and Restore are for one goroutine, one at a time;
// every other method, and the WriterTo that Snapshot returned, may run beside them. Reads take no lock.
type Machine struct {
	state   atomic.Pointer[State] // replaced, never edited
	changed chan<- struct{}
}

// NewMachine returns a machine without releases. When it has changed it sends to changed, unless that is full
// or nil.
func NewMachine(changed chan<- struct{}) *Machine {
	m := &Machine{changed: changed}
	m.state.Store(&State{})
	return m
}

// State returns the present state.
func (m *Machine) State() *State { return m.state.Load() }

// Apply carries out one command. It panics with a fault.UnknownCommandError, having changed nothing, when the
// command is none it knows.
func (m *Machine) Apply(index uint64, now time.Time, cmd []byte) []byte {
	s := m.state.Load()
	if len(cmd) == 0 {
		return s.refuse(Malformed).encode()
	}
	at := moment{index, time.UnixMilli(min(max(0, now.UnixMilli()), maxTime)).UTC()}
	carry := s.carrier(cmd[0])
	if carry == nil {
		panic(fault.UnknownCommandError{Machine: "configsync", Op: cmd[0], Index: index})
	}
	next, a := carry(cmd[1:], at)
	if next != nil {
		next.forget()
		m.become(next)
	}
	return a.encode()
}

// moment is when a command is applied.
type moment struct {
	index uint64
	time  time.Time
}

// carrier returns what carries out the commands of an op code: it returns the next state, or nil.
func (s *State) carrier(op byte) func([]byte, moment) (*State, Answer) {
	switch op {
	case opPropose, opBegin:
		return func(cmd []byte, at moment) (*State, Answer) { return s.proposeOrBegin(op, kind{}, cmd, at) }
	case opActivate:
		return s.activate
	case opConfirm, opReturn, opAbort, opEndCanary:
		return func(cmd []byte, at moment) (*State, Answer) { return s.step(op, cmd, at) }
	case opMint:
		return s.mint
	case opRevoke:
		return s.revoke
	case opShare:
		return s.share
	case opStrict:
		return s.strict
	case opFreeze:
		return s.freeze
	}
	return nil
}

func (m *Machine) become(s *State) {
	m.state.Store(s)
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// Query answers nothing: every node has the whole state.
func (m *Machine) Query([]byte) []byte { return nil }

// Snapshot returns the state as it is now. Equal states are written as equal bytes.
func (m *Machine) Snapshot() io.WriterTo { return m.state.Load() }

// Restore replaces the state by what a Snapshot wrote. It reads not a byte further than that. After an error
// the state is what it was.
func (m *Machine) Restore(r io.Reader) error {
	next, err := readState(r)
	if err != nil {
		return err
	}
	m.become(next)
	return nil
}
