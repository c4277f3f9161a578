package keyring

import (
	"context"
	"crypto/rand"
	"fmt"
)

// Log is the replicated log in front of a Machine.
type Log interface {
	// Propose replicates cmd and returns the index at which it was applied and the machine's answer.
	Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error)

	// Wait returns when this node's machine has applied index.
	Wait(ctx context.Context, index uint64) error
}

// Ring is a node's use of the replicated keys. It is safe for concurrent use.
type Ring struct {
	log   Log
	local func() *Machine
}

// New returns the ring over a log and this node's copy of the machine behind it. local is called for every read, so
// that the node may replace its copy; it must be cheap and must not return nil.
func New(log Log, local func() *Machine) *Ring { return &Ring{log, local} }

// Ensure returns once every purpose has a key on this node. Where there is none in the farm it makes one. Several nodes
// may do so at once: the first in the log counts for all. Calling it again costs nothing.
//
// The errors are those of the log, and one for a purpose that is empty, longer than 64 bytes, or one too many (256).
// After any of them Ensure may be called again, even if it is uncertain what became of the first call.
func (r *Ring) Ensure(ctx context.Context, purposes ...string) error {
	for _, purpose := range purposes {
		if err := r.ensure(ctx, purpose); err != nil {
			return fmt.Errorf("keyring: key for %q: %w", purpose, err)
		}
	}
	return nil
}

func (r *Ring) ensure(ctx context.Context, purpose string) error {
	if !validPurpose(purpose) {
		return fmt.Errorf("a purpose has 1 to %d bytes", maxPurpose)
	}
	if _, _, ok := r.Current(purpose); ok {
		return nil
	}
	c := ensure{purpose: purpose}
	rand.Read(c.secret[:])
	index, value, err := r.log.Propose(ctx, c.append(nil))
	if err != nil {
		return err
	}
	if _, err := decodeAnswer(value); err != nil {
		return err
	}
	if err := r.log.Wait(ctx, index); err != nil {
		return err
	}
	if _, _, ok := r.Current(purpose); !ok {
		return fmt.Errorf("applied at %d, but not in this node's copy", index)
	}
	return nil
}

// Current returns the key of a purpose that signs now. It does not allocate; the slice must not be modified. ok is false
// before Ensure has returned for the first time, and may be after it while a node that starts again catches up.
func (r *Ring) Current(purpose string) (id uint32, key []byte, ok bool) {
	return r.local().Current(purpose)
}

// Key returns the key of a purpose by its id, to verify what was signed with it. It does not allocate; the slice must
// not be modified.
func (r *Ring) Key(purpose string, id uint32) (key []byte, ok bool) {
	return r.local().Key(purpose, id)
}
