package keyring

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

const (
	maxPurpose  = 64  // bytes
	maxPurposes = 256 // different ones
)

const opEnsure byte = 1

// ErrUnknownCommand is what an UnknownCommandError is.
var ErrUnknownCommand = errors.New("keyring: unknown command")

// UnknownCommandError is the value Machine.Apply panics with when a command begins with an op code it does not know: a
// newer program wrote it, and to skip it would let this node's keys drift from the others'. Whoever drives the machine
// recovers it and stops the node; the machine is unchanged.
type UnknownCommandError struct {
	Op    byte
	Index uint64 // of the command
}

// Error implements error.
func (e UnknownCommandError) Error() string {
	return fmt.Sprintf("keyring: unknown command %d at index %d: a newer version of the program wrote it", e.Op, e.Index)
}

// Unwrap returns ErrUnknownCommand, and the error by which whoever drives the machine knows that a newer program is needed.
func (e UnknownCommandError) Unwrap() []error { return []error{ErrUnknownCommand, fault.ErrVersion} }

// ensure offers a first key for a purpose; it counts if there is none yet. It is written as the op code, the length of
// the purpose, the purpose, and the key.
type ensure struct {
	purpose string
	secret  Secret
}

func (c ensure) append(dst []byte) []byte {
	dst = append(dst, opEnsure, byte(len(c.purpose)))
	dst = append(dst, c.purpose...)
	return append(dst, c.secret[:]...)
}

func decodeEnsure(b []byte) (c ensure, ok bool) {
	if len(b) == 0 || len(b) != 1+int(b[0])+Size {
		return c, false
	}
	c.purpose, b = string(b[1:1+b[0]]), b[1+b[0]:]
	copy(c.secret[:], b)
	return c, validPurpose(c.purpose)
}

func validPurpose(p string) bool { return 0 < len(p) && len(p) <= maxPurpose }

// status is the first byte of an answer.
type status byte

const (
	statusOK        status = iota + 1 // the id of the purpose's first key follows, 4 bytes, little endian
	statusFull                        // too many purposes
	statusMalformed                   // not what ensure.append writes
)

func answer(s status, id uint32) []byte {
	if s != statusOK {
		return []byte{byte(s)}
	}
	return binary.LittleEndian.AppendUint32([]byte{byte(s)}, id)
}

func decodeAnswer(b []byte) (id uint32, err error) {
	switch {
	case len(b) == 5 && status(b[0]) == statusOK:
		return binary.LittleEndian.Uint32(b[1:]), nil
	case len(b) == 1 && status(b[0]) == statusFull:
		return 0, fmt.Errorf("more than %d purposes", maxPurposes)
	default:
		return 0, errors.New("command or answer not understood")
	}
}
