package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// batch is changes on their way to the store.
type batch struct {
	sets    []Entry
	deletes []string
	sent    map[string]sentEdit
}

// sentEdit is a change as it was when it was sent.
type sentEdit struct {
	value []byte
	found bool
	edits int
}

// sendLocked takes what is to be sent. s.order is held, so that nothing else is on its way.
func (s *Session) sendLocked() (b batch) {
	for i := range s.changes {
		c := &s.changes[i]
		if !c.pending() {
			continue
		}
		if b.sent == nil {
			b.sent = map[string]sentEdit{}
		}
		b.sent[c.name] = sentEdit{c.value, c.found, c.edits}
		c.state, c.stored.flying = inFlight, true
		if c.found {
			b.sets = append(b.sets, Entry{Name: c.name, Value: c.value})
		} else {
			b.deletes = append(b.deletes, c.name)
		}
	}
	return b
}

// commit sends the pending changes, as one command, and creates the session if there is none. s.order is held.
func (s *Session) commit(ctx context.Context) error {
	s.mu.Lock()
	phase, key := s.phase, s.key
	if phase == ended {
		pending := s.changedLocked()
		s.dropChangesLocked()
		s.mu.Unlock()
		if pending {
			return ErrEnded
		}
		return nil
	}
	b := s.sendLocked()
	s.mu.Unlock()
	if b.sent == nil {
		return nil
	}
	switch {
	case phase == anonymous && len(b.sets) == 0:
		return s.committed(StoreKey{}, b, Answer{}, nil, true) // there is nothing to delete from
	case phase == anonymous:
		a, err := s.create(ctx, b.sets)
		return s.committed(StoreKey{}, b, a, err, true)
	}
	if err := s.roomToGrow(b.sets...); err != nil {
		return s.committed(key, b, Answer{}, err, true)
	}
	a, err := s.m.do(ctx, Write{Key: key, Sets: b.sets, Deletes: b.deletes})
	return s.committed(key, b, a, err, unchanged(err))
}

// create makes a session that holds values. s.order is held and there is no session.
func (s *Session) create(ctx context.Context, values []Entry) (Answer, error) {
	s.mu.Lock()
	tooLate := s.settled || s.finished
	s.mu.Unlock()
	if tooLate {
		return Answer{}, ErrHeadersSent
	}
	m := s.m
	if err := m.roomFor(values); err != nil {
		return Answer{}, err
	}
	keyID, ok := m.signer.current()
	if !ok {
		return Answer{}, fmt.Errorf("%w: no key to sign tokens with yet", ErrStale)
	}
	sec := newSecret()
	key := sec.key()
	a, err := m.do(ctx, Create{Key: key, Idle: m.cfg.Idle, Absolute: m.cfg.Absolute, Values: values})
	if tooLarge(err) && !errors.Is(err, ErrFull) {
		err = ErrFull // the values were found to fit when they were set
		m.noteFull(err)
	}
	if err != nil {
		return Answer{}, err
	}
	// Issued by the store's time, not this node's: tokens are judged by it, and clocks differ.
	token, ok := m.signer.mintToken(sec, m.store.Status().Now, keyID)
	if !ok {
		return Answer{}, fmt.Errorf("%w: the key to sign tokens with is gone", ErrStale)
	}
	s.mu.Lock()
	s.key, s.phase, s.newToken = key, alive, token
	s.mu.Unlock()
	return a, nil
}

// committed takes note of what became of a batch that was sent to the session of key. refused: the error says that nothing has
// changed that anybody can see; a session of which only a token tells that never left is none.
func (s *Session) committed(key StoreKey, b batch, a Answer, err error, refused bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.changes {
		c := &s.changes[i]
		if sent, ok := b.sent[c.name]; ok {
			c.stored.flying = false
			s.answeredLocked(c, sent, a, err, refused)
		}
	}
	if err != nil {
		s.failedLocked(key, err)
		return err
	}
	s.wrote = max(s.wrote, a.Index)
	return nil
}

// answeredLocked takes note of what became of an edit that was sent. If another has been made since, that one is yet to be
// sent.
func (s *Session) answeredLocked(c *change, sent sentEdit, a Answer, err error, refused bool) {
	last := c.edits == sent.edits
	switch {
	case err == nil:
		if last {
			c.state = clean
		}
		now := stored{value: sent.value, found: sent.found, at: a.Index}
		if sent.found {
			now.version = a.Version
		}
		s.learnLocked(c, now)
	case refused:
		if last {
			c.state = dirty
		}
		s.tidyLocked(c)
	default:
		c.stored.doubt = true
		if last {
			c.state = uncertain
		}
	}
}

// failedLocked takes note of an error of the store about the session of key: one that has ended stays so, and no token of it goes
// out. If this request ended or renewed it meanwhile, the error is about a session that it has no more to do with.
func (s *Session) failedLocked(key StoreKey, err error) {
	if errors.Is(err, ErrEnded) && s.isLocked(key) {
		s.phase, s.newToken = ended, ""
		s.overLocked()
		s.dropChangesLocked()
	}
}

// isLocked reports whether the session of key is still the request's own.
func (s *Session) isLocked(key StoreKey) bool { return s.phase != anonymous && s.key == key }

// unchanged reports whether an error of the store says that nothing has been changed, and nothing will be.
func unchanged(err error) bool {
	if errors.Is(err, ErrUncertain) {
		return false
	}
	return slices.ContainsFunc(refusals, func(e error) bool { return errors.Is(err, e) })
}

var refusals = []error{ErrEnded, ErrConflict, ErrTooLarge, ErrNoLeader, ErrOverloaded, ErrClosed, fault.ErrLevel,
	context.Canceled, context.DeadlineExceeded}
