package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// take removes a value and returns what was removed. What others can see is taken in the store, which has one winner; what
// only this request has, at once.
func (s *Session) take(ctx context.Context, name string) ([]byte, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.m.cfg.CommitTimeout)
	defer cancel()
	t, a, err := s.tryTake(name), Answer{}, error(nil)
	switch {
	case t.queue:
		t, a, err = s.takeInOrder(ctx, name)
	case t.ask:
		a, err = s.takeStored(ctx, name, t)
	}
	if err != nil || !t.ask {
		return t.value, t.found, cmp.Or(t.err, err)
	}
	return a.Value, a.Found, s.carried(ctx)
}

// takeInOrder takes a value while nothing else of the request is on its way.
func (s *Session) takeInOrder(ctx context.Context, name string) (t taking, a Answer, err error) {
	if err := s.order.lock(ctx); err != nil {
		return taking{}, Answer{}, err
	}
	defer s.order.Unlock()
	if t = s.tryTake(name); t.ask {
		a, err = s.takeStored(ctx, name, t)
	}
	return t, a, err
}

// takeStored takes a value that is in the store, if it is.
func (s *Session) takeStored(ctx context.Context, name string, t taking) (Answer, error) {
	a, err := s.m.do(ctx, Take{Key: t.key, Name: name})
	if key, ok := s.renewedFrom(t.key); ok && errors.Is(err, ErrEnded) { // the request has renewed the session meanwhile
		t.key = key
		a, err = s.m.do(ctx, Take{Key: key, Name: name})
	}
	return a, s.took(name, t, a, err)
}

// renewedFrom returns the key of the living session, if that is another.
func (s *Session) renewedFrom(key StoreKey) (now StoreKey, another bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key, s.phase == alive && s.key != key
}

// taking is how a Take goes on.
type taking struct {
	value []byte
	found bool
	err   error

	queue  bool // the request's own edit is on its way, or may have arrived: nothing else of it must be sent meanwhile
	ask    bool // the store decides
	key    StoreKey
	edits  int
	unsure bool // the value is this request's own, and nobody knows whether it has ever been stored
}

// tryTake takes a value that only this request has, or says how to take it.
func (s *Session) tryTake(name string) (t taking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	value, found := s.valueLocked(name)
	if !found && !s.doubtLocked(name) {
		return taking{}
	}
	if err := s.openLocked(); err != nil {
		return taking{err: err}
	}
	t.ask, t.key = true, s.key
	i := s.findLocked(name)
	if i < 0 {
		return t
	}
	c := &s.changes[i]
	if c.state == dirty {
		s.editLocked(c, nil, false)
		return taking{value: value, found: true}
	}
	t.queue, t.unsure, t.edits = c.state != clean || c.stored.flying, c.state == uncertain, c.edits
	return t
}

// took takes note of what became of a Take in the store.
func (s *Session) took(name string, t taking, a Answer, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failedLocked(t.key, err)
		if !unchanged(err) && s.isLocked(t.key) {
			s.changeLocked(name).stored.doubt = true
		}
		return err
	}
	if !s.isLocked(t.key) { // the request has ended or renewed it since
		return nil
	}
	c := s.changeLocked(name)
	if c.state == uncertain && c.edits == t.edits {
		c.state = clean // whether it had been stored or not, it is not to be sent again
		c.edits++
	}
	s.learnLocked(c, stored{at: a.Index})
	switch {
	case a.Found:
		s.wrote = max(s.wrote, a.Index)
	case t.unsure:
		return fmt.Errorf("%w: the value was set by this request, and others may have taken it", ErrUncertain)
	}
	return nil
}
