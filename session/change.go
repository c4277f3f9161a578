package session

import "context"

// change is what one request knows of one value, and what it did to it. It covers the snapshot: reads look here first.
// session/DESIGN.md shows how one state leads to another.
type change struct {
	name   string
	state  changeState
	value  []byte // what the request sees; never edited, only replaced
	found  bool   // it sees a value
	edits  int    // counts Sets, Deletes and drops, so that an answer knows whether it is about the last of them
	stored stored
}

// changeState says how what the request sees stands to what the store holds.
type changeState uint8

const (
	clean     changeState = iota // it is what the store holds, as far as the request knows
	dirty                        // it is the request's own, and has not been sent
	inFlight                     // it is the request's own, and on its way
	uncertain                    // it was sent, and nobody knows whether it got there; it is sent again with the next commit
)

// stored is the newest that a request knows of a value in the store. That there is none is known only without flying and
// doubt.
type stored struct {
	value   []byte
	found   bool
	version uint64 // 0 if there is none
	at      uint64 // index of the change after which it was so; it only rises
	flying  bool   // a Set or Delete of this request is on its way
	doubt   bool   // the outcome of a command of this request is unknown
}

// absent reports whether the store is known to hold no value.
func (st *stored) absent() bool { return !st.found && !st.flying && !st.doubt }

// pending reports whether the change is to be sent.
func (c *change) pending() bool { return c.state == dirty || c.state == uncertain }

// changeLocked returns the change of name, made from the snapshot if there is none.
func (s *Session) changeLocked(name string) *change {
	if i := s.findLocked(name); i >= 0 {
		return &s.changes[i]
	}
	value, version, ok := s.storedLocked(name)
	return s.addLocked(change{name: name, value: value, found: ok,
		stored: stored{value: value, found: ok, version: version, at: s.record.Mod}})
}

// editLocked has the request see another value, or none, and has that sent. Where nothing can be there, there is nothing to
// delete.
func (s *Session) editLocked(c *change, value []byte, found bool) {
	s.showLocked(c, value, found)
	c.edits++
	c.state = dirty
	s.tidyLocked(c)
}

// tidyLocked takes back the deletion of a value that is known not to be there.
func (s *Session) tidyLocked(c *change) {
	if c.state == dirty && !c.found && c.stored.absent() {
		c.state = clean
	}
}

// learnLocked takes note of what the store held right after a change. Older news than the request has is none: answers
// overtake each other.
func (s *Session) learnLocked(c *change, now stored) {
	if now.at < c.stored.at {
		return
	}
	now.flying = c.stored.flying
	c.stored = now
	if c.state == clean {
		s.showLocked(c, now.value, now.found)
	}
}

// dropLocked drops an edit that the store is not known to hold. The request sees what it knows of the store.
func (s *Session) dropLocked(c *change) {
	if c.state == clean {
		return
	}
	c.edits++
	c.state = clean
	s.showLocked(c, c.stored.value, c.stored.found)
}

// get returns the value that the request sees.
func (s *Session) get(name string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	return s.valueLocked(name)
}

// set buffers a value. Once the header has been sent, it commits it: there may be no later moment to say that it failed.
func (s *Session) set(ctx context.Context, name string, value []byte) error {
	edits, late, err := s.buffer(name, value)
	if err != nil || !late {
		return err
	}
	return s.commitLate(ctx, name, edits)
}

// buffer returns how often the change was edited then, and whether the header has been sent.
func (s *Session) buffer(name string, value []byte) (edits int, late bool, err error) {
	limits := s.m.store.Status().Limits
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	if err := s.openLocked(); err != nil {
		return 0, false, err
	}
	if err := s.fitsLocked(name, value, limits); err != nil {
		return 0, false, err
	}
	c := s.changeLocked(name)
	s.editLocked(c, value, true)
	return c.edits, s.settled, nil
}

// openLocked says why a change cannot be accepted, or nil.
func (s *Session) openLocked() error {
	switch {
	case s.settleErr != nil:
		return s.settleErr // the response is an error page: nothing is kept of the request any more
	case s.finished, s.phase == anonymous && s.settled:
		return ErrHeadersSent
	case s.phase == ended:
		return ErrEnded
	}
	return nil
}

// delete buffers the deletion of a value. One that the request does not see is none, unless a change of its own may have put
// it there.
func (s *Session) delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	if s.openLocked() != nil {
		return
	}
	if _, ok := s.valueLocked(name); ok || s.doubtLocked(name) {
		s.editLocked(s.changeLocked(name), nil, false)
	}
}

// doubtLocked reports whether the store may hold a value that the request does not see and has not deleted.
func (s *Session) doubtLocked(name string) bool {
	i := s.findLocked(name)
	return i >= 0 && s.changes[i].state == clean && (s.changes[i].stored.doubt || s.changes[i].stored.flying)
}

func (s *Session) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changedLocked()
}

func (s *Session) changedLocked() bool {
	for i := range s.changes {
		if s.changes[i].pending() {
			return true
		}
	}
	return false
}

func (s *Session) dropChanges() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropChangesLocked()
}

// dropChangesLocked drops what has not been committed.
func (s *Session) dropChangesLocked() {
	for i := range s.changes {
		s.dropLocked(&s.changes[i])
	}
}
