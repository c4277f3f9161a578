package session

import "slices"

// change is what one request did to one value. It covers the snapshot: reads look here first.
type change struct {
	name    string
	value   []byte // never edited, only replaced
	found   bool   // there is a value; else it was deleted or taken
	pending bool   // not committed yet
	version uint64 // of the committed value, as far as this request knows; 0 = there is none
	edits   int    // counts Sets and Deletes, so that a commit knows whether it is still the last word
}

// changeLocked returns the change of name, made from the snapshot if there is none.
func (s *Session) changeLocked(name string) *change {
	if i := s.findLocked(name); i >= 0 {
		return &s.changes[i]
	}
	value, version, ok := s.storedLocked(name)
	return s.addLocked(change{name: name, value: value, found: ok, version: version})
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
	s.showLocked(c, value, true)
	c.pending = true
	c.edits++
	return nil
}

// openLocked says why a change cannot be accepted, or nil.
func (s *Session) openLocked() error {
	switch {
	case s.finished, s.phase == anonymous && s.settled:
		return ErrHeadersSent
	case s.phase == ended:
		return ErrEnded
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
	s.removeLocked(s.changeLocked(name))
}

// removeLocked buffers the deletion of a value that is there. If it never was committed there is nothing to delete.
func (s *Session) removeLocked(c *change) {
	s.showLocked(c, nil, false)
	c.pending = c.version > 0
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
	s.view = view{}
}
