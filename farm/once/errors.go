package once

import (
	"errors"
	"fmt"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Errors that other packages of this module return too: errors.Is finds them under either name.
var (
	// ErrUncertain says that something may or may not have happened.
	ErrUncertain = fault.ErrUncertain

	// ErrNoLeader says that no leader could be reached; nothing has been changed.
	ErrNoLeader = fault.ErrNoLeader

	// ErrLevel says that some node of the farm still runs a program that knows no locks and jobs; see farmctl
	// finalize.
	ErrLevel = fault.ErrLevel

	// ErrClosed says that the client was closed.
	ErrClosed = fault.ErrClosed

	// ErrTooLarge says that a name is too long, or that there are too many of something.
	ErrTooLarge = fault.ErrTooLarge
)

var (
	// ErrHeld says that somebody else holds the lock, or is at the migration; of Forget, that a program still
	// registers the job, or runs it.
	ErrHeld = errors.New("once: held by another")

	// ErrLost says that a lease ended before its holder gave it back: this node could not be sure any more
	// that nobody else has it.
	ErrLost = errors.New("once: the lease was lost")
)

// ErrFull says that there are as many of something as there may be: locks, jobs, nodes that take part,
// migrations that are done, or requests for locks, of this node or for one lock. It is an ErrTooLarge.
var ErrFull = fmt.Errorf("%w: too many locks, jobs or waiters", ErrTooLarge)

// unexpected is the error for an answer that a command cannot have.
func unexpected(a state.Answer) error {
	return fmt.Errorf("once: a command was answered by %v", a.Code)
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("once: a name must not be empty")
	case len(name) > MaxName:
		return fmt.Errorf("once: %w: a name of %d bytes; %d are allowed", ErrTooLarge, len(name), MaxName)
	}
	return nil
}

// errRetired ends what a node gives up because it stops soon.
var errRetired = errors.New("once: this node stops soon")

// errNoFunc says that there is nothing to run.
var errNoFunc = errors.New("once: the function is nil")

// errFinished says that a migration is done.
var errFinished = errors.New("once: done")
