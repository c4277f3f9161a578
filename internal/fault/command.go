package fault

import "fmt"

// UnknownCommandError is the value that a state machine panics with when a command begins with an op code that it does
// not know: a newer program wrote it. To skip the command would let this copy of the state drift from the others for
// good, and no answer could say so, since answers are only for whoever proposed. Whoever drives the machine recovers
// the panic and stops the node cleanly. The machine is unchanged, and the command will be carried out by a program
// that knows it.
type UnknownCommandError struct {
	Machine string // such as "keyring"
	Op      byte
	Index   uint64 // of the command
}

// Error implements error.
func (e UnknownCommandError) Error() string {
	return fmt.Sprintf("%s: unknown command %d at index %d: a newer version of the program wrote it", e.Machine, e.Op,
		e.Index)
}

// Unwrap returns ErrVersion, by which whoever drives the machine knows that a newer program is needed.
func (e UnknownCommandError) Unwrap() error { return ErrVersion }
