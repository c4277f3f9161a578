package session

import (
	"context"
	"errors"
	"fmt"
)

// batch is pending changes on their way to the store.
type batch struct {
	sets    []Entry
	deletes []string
	edits   map[string]int // of each change as it was sent
}

func (s *Session) batchLocked() (b batch) {
	for i := range s.changes {
		c := &s.changes[i]
		if !c.pending {
			continue
		}
		if b.edits == nil {
			b.edits = map[string]int{}
		}
		b.edits[c.name] = c.edits
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
	b, phase, key := s.batchLocked(), s.phase, s.key
	if phase == ended {
		s.dropChangesLocked()
	}
	s.mu.Unlock()
	switch {
	case len(b.edits) == 0:
		return nil
	case phase == anonymous:
		a, err := s.create(ctx, b.sets)
		return s.committed(StoreKey{}, b, a, err)
	case phase != alive:
		return ErrEnded
	}
	if err := s.roomToGrow(b.sets...); err != nil {
		return err
	}
	a, err := s.m.do(ctx, Write{Key: key, Sets: b.sets, Deletes: b.deletes})
	return s.committed(key, b, a, err)
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

// committed takes note of what became of a batch that was sent to the session of key.
func (s *Session) committed(key StoreKey, b batch, a Answer, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failedLocked(key, err)
		return err
	}
	s.wrote = max(s.wrote, a.Index)
	for i := range s.changes {
		c := &s.changes[i]
		edits, sent := b.edits[c.name]
		if !sent {
			continue
		}
		c.version = a.Version
		if c.edits == edits {
			c.pending = false
			if !c.found {
				c.version = 0
			}
		}
	}
	return nil
}

// failedLocked takes note of an error of the store about the session of key: one that has ended stays so. If this request ended
// or renewed it meanwhile, the error is about a session that it has no more to do with.
func (s *Session) failedLocked(key StoreKey, err error) {
	if errors.Is(err, ErrEnded) && s.isLocked(key) {
		s.phase = ended
		s.dropChangesLocked()
	}
}

// isLocked reports whether the session of key is still the request's own.
func (s *Session) isLocked(key StoreKey) bool { return s.phase != anonymous && s.key == key }
