package replica

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Machine is a state machine; cluster.StateMachine says what its methods promise.
type Machine interface {
	Apply(index uint64, now time.Time, cmd []byte) []byte
	Query(q []byte) []byte
	Snapshot() io.WriterTo
	Restore(r io.Reader) error
}

// recovered makes an error of a panic: of a state machine, or of this package. One that wraps ErrVersion is a
// state machine's word for a command that it does not know.
func recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case error:
		if *err = p; !errors.Is(p, fault.ErrVersion) {
			*err = fmt.Errorf("%w: %w", wire.ErrMachine, p)
		}
	default:
		*err = fmt.Errorf("%w: %v", wire.ErrMachine, p)
	}
}

// Ask makes an error of a panic: it says nothing about the state, so the node goes on.
func Ask(m Machine, q []byte) (answer []byte, err error) {
	defer recovered(&err)
	return m.Query(q), nil
}
