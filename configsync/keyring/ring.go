package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Log is the replicated log in front of a Machine; package cluster's Handle is one.
type Log interface {
	// Propose replicates cmd and returns the index at which it was applied and the machine's answer.
	Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error)

	// Wait returns when this node's machine has applied index.
	Wait(ctx context.Context, index uint64) error

	// Barrier returns when this node's machine has everything acknowledged, anywhere, before the call. Calls
	// made at the same time share the work.
	Barrier(ctx context.Context) error

	// Applied returns the index up to which this node's machine has everything.
	Applied() uint64

	// Spread returns nil once every member has what was applied up to index; an error that names one of which
	// this is not known, if ctx ends before.
	Spread(ctx context.Context, index uint64) error

	// Staleness returns the age of the last proof that this node's machine had everything committed.
	Staleness() time.Duration

	// Level returns the protocol level that the nodes work at, as far as this one knows. Commands that need a
	// higher one, see CommandLevel, are refused.
	Level() int
}

// Ring is a node's use of the replicated keys. It is safe for concurrent use.
type Ring struct {
	log    Log
	local  func() *Machine
	asking atomic.Int64  // calls of Await that ask others
	kick   chan struct{} // has Keep look at once
}

// New returns the ring over a log and this node's copy of the machine behind it. local is called for every
// read, so that the node may replace its copy; it must be cheap and must not return nil.
func New(log Log, local func() *Machine) *Ring {
	return &Ring{log: log, local: local, kick: make(chan struct{}, 1)}
}

// Ensure returns once every purpose has a key on this node. Where there is none in the farm it makes one.
// Several nodes may do so at once: the first in the log counts for all. Calling it again costs nothing.
//
// The errors are those of the log, and one for a purpose that is empty, longer than 64 bytes, or one too many
// (256). After any of them Ensure may be called again, even if it is uncertain what became of the first call.
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
	index, _, err := r.propose(ctx, ensure{purpose, newSecret()}.encode())
	if err != nil {
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

func newSecret() (s Secret) {
	rand.Read(s[:])
	return s
}

// propose has a command carried out.
func (r *Ring) propose(ctx context.Context, cmd []byte) (index uint64, id uint32, err error) {
	if CommandLevel(cmd) > r.log.Level() {
		return 0, 0, fmt.Errorf("%w: the rotation of keys needs level %d", fault.ErrLevel, CommandLevel(cmd))
	}
	index, value, err := r.log.Propose(ctx, cmd)
	if err != nil {
		return 0, 0, err
	}
	res, ok := decodeResult(value)
	switch {
	case !ok:
		return 0, 0, errors.New("answer not understood")
	case res.status == statusOK:
		return index, res.id, nil
	case res.status == statusMoved:
		return index, res.id, ErrMoved
	case res.status == statusFull:
		return index, 0, ErrFull
	case res.status == statusNoKey:
		return index, 0, ErrNoKey
	case res.status == statusEarly:
		return index, 0, earlyError(res.wait)
	}
	return index, 0, errors.New("command not understood")
}

// earlyError says how much too early a command was, by the log's time.
type earlyError time.Duration

func (e earlyError) Error() string { return fmt.Sprintf("too early by %v", time.Duration(e)) }

// Current returns the key of a purpose that signs now. It does not allocate; the slice must not be modified.
// ok is false before Ensure has returned for the first time, and may be after it while a node that starts
// again catches up.
func (r *Ring) Current(purpose string) (id uint32, key []byte, ok bool) {
	return r.local().Current(purpose)
}

// Key returns the key of a purpose by its id, to verify what was signed with it. It does not allocate; the
// slice must not be modified. If there is none on this node, Await says whether that means anything.
func (r *Ring) Key(purpose string, id uint32) (key []byte, ok bool) {
	return r.local().Key(purpose, id)
}

// List describes all keys as this node knows them, by purpose and id, those that have ended lately included.
func (r *Ring) List() []Info { return r.local().List() }

const (
	// lostContact is how old this node's knowledge may be for Await to ask others: beyond that none answers.
	lostContact = 8 * time.Second

	// maxAhead is how many keys a node may lack. An id beyond that is made up.
	maxAhead = 1000

	// maxAsking bounds how many calls of Await wait for others.
	maxAsking = 1000
)

// Await returns nil once Key tells the truth about an id, asking the others if it has to: without a key then,
// there is none any more, or there never was one. ErrNotYet, joined with the reason, says that this node
// cannot know that now, because it has fallen behind, or is cut off, or has just started. What was signed
// with that id is not to be taken for forged then.
//
// It is cheap for an id that this node knows, or that nobody can have.
func (r *Ring) Await(ctx context.Context, purpose string, id uint32) error {
	newest := r.local().Newest(purpose)
	if newest > 0 && (id <= newest || id-newest > maxAhead) {
		return nil
	}
	if age := r.log.Staleness(); age > lostContact {
		return fmt.Errorf("%w, and has no contact to the others", ErrNotYet)
	}
	defer r.asking.Add(-1)
	if r.asking.Add(1) > maxAsking {
		return fmt.Errorf("%w, and too many are asking for one", ErrNotYet)
	}
	if err := r.log.Barrier(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrNotYet, err)
	}
	if r.local().Newest(purpose) == 0 {
		return fmt.Errorf("%w: none has been made", ErrNotYet)
	}
	return nil
}

// Rotate adds a key to a purpose, in place of the one that signs, and returns its id: it signs as soon as all
// members have it, which some node's Keep looks after. newest is the id of the newest key, as List has it:
// where there is a newer one, that was somebody else's Rotate, and its id is returned, with ErrMoved.
//
// The farm must work at protocol level 4. Other errors are ErrNoKey, ErrFull (as many keys as a purpose can
// have are accepted still), and those of the log.
func (r *Ring) Rotate(ctx context.Context, purpose string, newest uint32) (id uint32, err error) {
	id, err = r.rotate(ctx, purpose, newest, 0)
	if err != nil {
		err = fmt.Errorf("keyring: rotate %q: %w", purpose, err)
	}
	r.look()
	return id, err
}

func (r *Ring) rotate(ctx context.Context, purpose string, newest uint32, after time.Duration) (
	uint32, error) {
	if !validPurpose(purpose) {
		return 0, ErrNoKey
	}
	_, id, err := r.propose(ctx, rotate{purpose, newest, after, newSecret()}.encode())
	return id, err
}

// Proceed has a pending key sign at once, whether all members have it or not: one that lacks it answers "not
// yet" to what it signs, until it has it. accept is for how long what the key before it signed is accepted.
// ErrMoved says that the key is not pending.
func (r *Ring) Proceed(ctx context.Context, purpose string, id uint32, accept time.Duration) error {
	err := r.activate(ctx, purpose, id, 0, accept)
	if err != nil {
		err = fmt.Errorf("keyring: proceed with key %d of %q: %w", id, purpose, err)
	}
	return err
}

func (r *Ring) activate(ctx context.Context, purpose string, id uint32, after, accept time.Duration) error {
	if !validPurpose(purpose) {
		return ErrNoKey
	}
	_, _, err := r.propose(ctx, activate{purpose, id, after, max(0, min(accept, maxDuration))}.encode())
	return err
}

// Revoke ends the keys of a purpose from one id to another, both included, at once: what they signed is worth
// nothing from then on, and what they protected can never be read again. If the one that signs is among them,
// a pending one takes its place, or a new one, which signs at once. It returns the id of the key that signs.
//
// Their secrets are gone from the state, and from snapshots and backups that are made from now on.
//
// The farm must work at protocol level 4. ErrNoKey says that there is no key of such an id; other errors are
// those of the log. To revoke again does no harm.
func (r *Ring) Revoke(ctx context.Context, purpose string, from, to uint32) (signing uint32, err error) {
	if !validPurpose(purpose) {
		return 0, ErrNoKey
	}
	_, signing, err = r.propose(ctx, revoke{purpose, from, to, newSecret()}.encode())
	if err != nil {
		return 0, fmt.Errorf("keyring: revoke keys %d to %d of %q: %w", from, to, purpose, err)
	}
	return signing, nil
}

// look has Keep look at the keys now.
func (r *Ring) look() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}
