package session

import (
	"fmt"
	"slices"
)

// change is what one request did to one value. It covers the snapshot: reads look here first.
type change struct {
	name    string
	value   []byte // never edited, only replaced
	found   bool   // there is a value; else it was deleted or taken
	pending bool   // not committed yet
	version uint64 // of the committed value, as far as this request knows; 0 = there is none
	edits   int    // counts Sets and Deletes, so that a commit knows whether it is still the last word
}

// valueLocked returns the value that the request sees.
func (s *Session) valueLocked(name string) ([]byte, bool) {
	if i := s.findLocked(name); i >= 0 {
		return s.changes[i].value, s.changes[i].found
	}
	value, _, ok := s.record.Value(name)
	return value, ok
}

func (s *Session) findLocked(name string) int {
	for i := range s.changes {
		if s.changes[i].name == name {
			return i
		}
	}
	return -1
}

// changeLocked returns the change of name, made from the snapshot if there is none.
func (s *Session) changeLocked(name string) *change {
	i := s.findLocked(name)
	if i < 0 {
		value, version, ok := s.record.Value(name)
		s.changes = append(s.changes, change{name: name, value: value, found: ok, version: version})
		i = len(s.changes) - 1
	}
	return &s.changes[i]
}

// get returns the value that the request sees.
func (s *Session) get(name string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	return s.valueLocked(name)
}

// set buffers a value.
func (s *Session) set(name string, value []byte) error {
	limits := s.m.store.Status().Limits
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	if err := s.openLocked(); err != nil {
		return err
	}
	if err := s.fitsLocked(name, value, limits); err != nil {
		return err
	}
	c := s.changeLocked(name)
	c.value, c.found, c.pending = value, true, true
	c.edits++
	return nil
}

// openLocked says why a change cannot be accepted, or nil.
func (s *Session) openLocked() error {
	switch {
	case s.finished, s.phase == anonymous && s.settled:
		return ErrHeadersSent
	case s.phase == ended || s.phase == destroyed:
		return ErrEnded
	}
	return nil
}

// fitsLocked says which limit value would break, or nil. The machine has the last word, because others change the session
// too; here the error meets the line that caused it.
func (s *Session) fitsLocked(name string, value []byte, l Limits) error {
	if len(value) > l.Value {
		return fmt.Errorf("%w: value %q has %d bytes, limit %d", ErrTooLarge, name, len(value), l.Value)
	}
	keys, size := 1, len(name)+len(value)
	count := func(other string) {
		if v, ok := s.valueLocked(other); ok && other != name {
			keys++
			size += len(other) + len(v)
		}
	}
	for other := range s.record.Names() {
		if s.findLocked(other) < 0 {
			count(other)
		}
	}
	for i := range s.changes {
		count(s.changes[i].name)
	}
	switch {
	case keys > l.Keys:
		return fmt.Errorf("%w: value %q would be the session's %dth, limit %d", ErrTooLarge, name, keys, l.Keys)
	case size > l.Session:
		return fmt.Errorf("%w: with value %q the session has %d bytes, limit %d", ErrTooLarge, name, size, l.Session)
	}
	return nil
}

// delete buffers the deletion of a value. One that the request does not see is none.
func (s *Session) delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	if s.openLocked() != nil {
		return
	}
	if _, ok := s.valueLocked(name); !ok {
		return
	}
	s.changeLocked(name).remove()
}

// remove buffers the deletion of a value that is there. If it never was committed there is nothing to delete.
func (c *change) remove() {
	c.value, c.found, c.pending = nil, false, c.version > 0
	c.edits++
}

func (s *Session) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changedLocked()
}

func (s *Session) changedLocked() bool {
	return slices.ContainsFunc(s.changes, func(c change) bool { return c.pending })
}

func (s *Session) dropChanges() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropChangesLocked()
}

// dropChangesLocked drops what has not been committed.
func (s *Session) dropChangesLocked() {
	s.changes = slices.DeleteFunc(s.changes, func(c change) bool { return c.pending })
}
