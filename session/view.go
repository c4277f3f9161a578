package session

import (
	"fmt"
	"slices"
)

// view is what helps a request to find its way among the values that it sees: those of the snapshot, and its changes before
// them. A Set costs the same however many values the session holds and the request has set: the sum of them is counted once
// and then carried along, and where there are many, they are found by maps.
type view struct {
	counted    bool // keys and size are known
	keys, size int  // of what the request sees

	places map[string]int       // of changes, by name; nil while there are few
	stored map[string]Versioned // the snapshot's values by name; nil while there are few changes
}

// fewChanges is how many changes are found faster by looking at all of them.
const fewChanges = 8

// valueLocked returns the value that the request sees.
func (s *Session) valueLocked(name string) ([]byte, bool) {
	if i := s.findLocked(name); i >= 0 {
		return s.changes[i].value, s.changes[i].found
	}
	value, _, ok := s.storedLocked(name)
	return value, ok
}

func (s *Session) findLocked(name string) int {
	if s.view.places != nil {
		if i, ok := s.view.places[name]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(s.changes, func(c change) bool { return c.name == name })
}

// storedLocked returns a value of the snapshot.
func (s *Session) storedLocked(name string) (value []byte, version uint64, ok bool) {
	if s.view.stored != nil {
		v, ok := s.view.stored[name]
		return v.Value, v.Version, ok
	}
	return s.record.Value(name)
}

// addLocked adds a change of a value that has none yet.
func (s *Session) addLocked(c change) *change {
	s.changes = append(s.changes, c)
	last := len(s.changes) - 1
	switch {
	case s.view.places != nil:
		s.view.places[c.name] = last
	case last == fewChanges:
		s.indexLocked()
	}
	return &s.changes[last]
}

func (s *Session) indexLocked() {
	s.view.places = make(map[string]int, 4*fewChanges)
	for i := range s.changes {
		s.view.places[s.changes[i].name] = i
	}
	s.view.stored = make(map[string]Versioned, s.record.Len())
	for v := range s.record.Values() {
		s.view.stored[v.Name] = v
	}
}

// showLocked has the request see another value in c, or none.
func (s *Session) showLocked(c *change, value []byte, found bool) {
	if s.view.counted {
		if c.found {
			s.countLocked(c.name, c.value, -1)
		}
		if found {
			s.countLocked(c.name, value, 1)
		}
	}
	c.value, c.found = value, found
}

func (s *Session) countLocked(name string, value []byte, by int) {
	s.view.keys += by
	s.view.size += by * (len(name) + len(value))
}

// countAllLocked counts what the request sees.
func (s *Session) countAllLocked() {
	s.view.counted, s.view.keys, s.view.size = true, 0, 0
	for v := range s.record.Values() {
		s.countLocked(v.Name, v.Value, 1)
	}
	for i := range s.changes {
		c := &s.changes[i]
		if value, _, ok := s.storedLocked(c.name); ok {
			s.countLocked(c.name, value, -1)
		}
		if c.found {
			s.countLocked(c.name, c.value, 1)
		}
	}
}

// fitsLocked says which limit value would break, or nil. The machine has the last word, because others change the session
// too; here the error meets the line that caused it.
func (s *Session) fitsLocked(name string, value []byte, l Limits) error {
	if len(value) > l.Value {
		return fmt.Errorf("%w: value %q has %d bytes, limit %d", ErrTooLarge, name, len(value), l.Value)
	}
	if !s.view.counted {
		s.countAllLocked()
	}
	keys, size := s.view.keys+1, s.view.size+len(name)+len(value)
	if old, ok := s.valueLocked(name); ok {
		keys, size = keys-1, size-len(name)-len(old)
	}
	switch {
	case keys > l.Keys:
		return fmt.Errorf("%w: value %q would be the session's %dth, limit %d", ErrTooLarge, name, keys, l.Keys)
	case size > l.Session:
		return fmt.Errorf("%w: with value %q the session has %d bytes, limit %d", ErrTooLarge, name, size, l.Session)
	}
	return nil
}
