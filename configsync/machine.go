package configsync

import (
	"context"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Machine is the replicated state: revisions of files, and which of them is in force. It is a
// cluster.StateMachine.
type Machine = state.Machine

// UnknownCommandError is what Machine.Apply panics with at a command of a newer program.
type UnknownCommandError = state.UnknownCommandError

// ErrUnknownCommand is what an UnknownCommandError is.
var ErrUnknownCommand = state.ErrUnknownCommand

// NewMachine returns a machine without configuration. It sends to changed when it has changed, unless that
// is full or nil: the channel of Settings.Changed, with room for one.
func NewMachine(changed chan<- struct{}) *Machine { return state.NewMachine(changed) }

// CommandLevel returns the protocol level that a farm must work at before a command of the Machine may get
// into its log, and that of the machine itself for nil. A command of a newer program needs the level that
// the newer program says.
func CommandLevel(cmd []byte) int { return state.Level(cmd) }

// Log replicates the commands of a Machine: package cluster's Handle is one.
type Log interface {
	// Propose has cmd applied on all nodes, exactly once, and returns when it is on this one, with the
	// machine's answer. With an error, an index above 0 says that cmd was applied, with that answer, and only
	// this node does not have it yet.
	Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error)

	// Barrier returns when this node's machine has everything acknowledged, anywhere, before the call.
	Barrier(ctx context.Context) error
}

// Epoch is one switch of what is in force. Numbers go up by one. Revision names the files; a rollback is a
// new epoch with the revision of an old one.
type Epoch = state.Epoch
