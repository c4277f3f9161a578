package once

import (
	"strings"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// MaxName is how long a name may be, in bytes.
const MaxName = state.MaxName - len(kindSingleton) // which is the longest prefix of a name in the machine

// The kinds of locks have a name space each.
const (
	kindLock      = "lock/"
	kindOnce      = "once/"
	kindSingleton = "singleton/"
)

// Machine is the replicated state machine: who holds what, and when each job is due.
type Machine = state.Machine

// News brings a Client what changes in its node's Machine. The zero value is ready; a Machine and the Client
// over it share one.
type News struct {
	listener atomic.Pointer[func(state.Event)]
}

// NewMachine returns an empty state machine that tells n: the factory to give to whatever replicates it.
func NewMachine(n *News) *Machine { return state.New(n.tell) }

func (n *News) tell(e state.Event) {
	if f := n.listener.Load(); f != nil {
		(*f)(e)
	}
}

// CommandLevel returns the protocol level that a farm must work at before cmd may get into its log, because
// programs of earlier releases have no such machine.
func CommandLevel([]byte) int { return state.Level }

// splitKind returns what kind of lock a name in the machine is of, and the name that the application gave it.
func splitKind(full string) (kind, name string) {
	kind, name, _ = strings.Cut(full, "/")
	return kind, name
}
