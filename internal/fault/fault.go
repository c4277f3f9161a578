// Package fault holds the errors that more than one package of this module returns, so that errors.Is finds them
// whichever package's name for them a caller knows.
package fault

import "errors"

var (
	// ErrUncertain says that a write may or may not have happened.
	ErrUncertain = errors.New("outcome unknown: the write may or may not have happened")

	// ErrNoLeader says that no leader has answered and that nothing of the request has left this node. The error goes on to say
	// whether one is known.
	ErrNoLeader = errors.New("no leader has answered")

	// ErrOverloaded says that more is asked of the farm than it can do in time. It was refused, and certainly not done.
	ErrOverloaded = errors.New("overloaded: more is asked of the farm than it can do in time; this was not done")

	// ErrClosed says that the node was closed.
	ErrClosed = errors.New("closed")

	// ErrLevel says that the farm does not work at the protocol level yet that a command needs; nothing of it has left this
	// node. It does once all members run a program that speaks the level, and it was put in force.
	ErrLevel = errors.New("the farm does not work at the protocol level yet that this needs")

	// ErrVersion says that the log has something that this program does not know: a newer one wrote it. A state machine that
	// does not know a command panics with an error that wraps it.
	ErrVersion = errors.New("the farm's log needs a newer version of this program")

	// ErrTooLarge says that a value or a command is over its limit.
	ErrTooLarge = errors.New("too large")
)

// ErrConfig says that a configuration cannot be used, so that another try ends the same way until somebody changes it.
var ErrConfig = errors.New("wrong configuration")

// Config returns err as one that is ErrConfig and reads as before; nil for nil.
func Config(err error) error {
	if err == nil {
		return nil
	}
	return configError{err}
}

type configError struct{ error }

func (e configError) Is(target error) bool { return target == ErrConfig }
func (e configError) Unwrap() error        { return e.error }
