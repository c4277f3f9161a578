// Package state is the replicated state of a farm's configuration: revisions of files, and which of them was
// in force when.
package state

import (
	"cmp"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Machine is the replicated state machine. Apply, Snapshot and Restore are for one goroutine, one at a time;
// every other method, and the WriterTo that Snapshot returned, may run beside them. Reads take no lock.
type Machine struct {
	state   atomic.Pointer[State] // replaced, never edited
	changed chan<- struct{}
}

// NewMachine returns a machine without configuration. When it has changed it sends to changed, unless that
// is full or nil.
func NewMachine(changed chan<- struct{}) *Machine {
	m := &Machine{changed: changed}
	m.state.Store(&State{})
	return m
}

// State is everything at one index. It never changes.
type State struct {
	last   uint64            // number of the newest revision
	files  map[uint64][]File // of the revisions that epochs name, sorted by path
	epochs []Epoch           // ascending; the last is in force
}

// File is a file of a revision, as it was written.
type File struct{ Path, Text string }

// Epoch is one switch of what is in force.
type Epoch struct {
	Number   uint64 // goes up by one
	Revision uint64
	Index    uint64 // of the log
	Time     time.Time
	Who, Why string
	Key      string
}

// Current returns the epoch in force; the zero Epoch if nothing ever was.
func (s *State) Current() Epoch {
	if len(s.epochs) == 0 {
		return Epoch{}
	}
	return s.epochs[len(s.epochs)-1]
}

// Epochs returns the epochs that are kept, the newest last.
func (s *State) Epochs() []Epoch { return slices.Clone(s.epochs) }

// Epoch returns the epoch of that number; false if it is not kept.
func (s *State) Epoch(number uint64) (Epoch, bool) {
	i, ok := slices.BinarySearchFunc(s.epochs, number, func(e Epoch, n uint64) int {
		return cmp.Compare(e.Number, n)
	})
	if !ok {
		return Epoch{}, false
	}
	return s.epochs[i], true
}

// Files returns the files of a revision that an epoch names, sorted by path. They must not be modified.
func (s *State) Files(revision uint64) []File { return s.files[revision] }

// State returns the present state.
func (m *Machine) State() *State { return m.state.Load() }

// Apply carries out one command. It panics with an UnknownCommandError, having changed nothing, when the
// command is none it knows.
func (m *Machine) Apply(index uint64, now time.Time, cmd []byte) []byte {
	s := m.state.Load()
	if len(cmd) == 0 {
		return s.refuse(Malformed).encode()
	}
	at := Epoch{Index: index, Time: time.UnixMilli(min(max(0, now.UnixMilli()), maxTime)).UTC()}
	var next *State
	var a Answer
	switch cmd[0] {
	case opPut:
		next, a = s.put(cmd[1:], at)
	case opActivate:
		next, a = s.activate(cmd[1:], at)
	default:
		panic(UnknownCommandError{Op: cmd[0], Index: index})
	}
	if next != nil {
		m.become(next)
	}
	return a.encode()
}

func (m *Machine) become(s *State) {
	m.state.Store(s)
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// refuse is the answer to a command that has changed nothing.
func (s *State) refuse(why Status) Answer { return Answer{why, s.Current().Number} }

// precondition returns the answer to a write that is not to be carried out now.
func (s *State) precondition(w Write) (Answer, bool) {
	if w.Key != "" {
		if i := slices.IndexFunc(s.epochs, func(e Epoch) bool { return e.Key == w.Key }); i >= 0 {
			return Answer{Done, s.epochs[i].Number}, true
		}
	}
	return s.refuse(Conflict), w.Epoch != s.Current().Number
}

func (s *State) put(cmd []byte, at Epoch) (*State, Answer) {
	c, ok := decodePut(cmd)
	if !ok {
		return nil, s.refuse(Malformed)
	}
	if a, no := s.precondition(c.Write); no {
		return nil, a
	}
	old := s.files[s.Current().Revision]
	files := changed(old, c.Changes)
	if slices.Equal(files, old) {
		return nil, s.refuse(Same)
	}
	size := 0
	for _, f := range files {
		size += len(f.Text)
	}
	if size > MaxBytes || len(files) > MaxFiles {
		return nil, s.refuse(TooLarge)
	}
	at.Revision = s.last + 1
	return s.with(c.Write, at, files)
}

// changed returns files with changes, sorted by path.
func changed(files []File, changes []Change) []File {
	out := slices.Clone(files)
	for _, c := range changes {
		i, found := slices.BinarySearchFunc(out, c.Path, func(f File, path string) int {
			return strings.Compare(f.Path, path)
		})
		switch {
		case c.Delete && found:
			out = slices.Delete(out, i, i+1)
		case c.Delete:
		case found:
			out[i].Text = c.Text
		default:
			out = slices.Insert(out, i, File{c.Path, c.Text})
		}
	}
	return out
}

func (s *State) activate(cmd []byte, at Epoch) (*State, Answer) {
	c, ok := decodeActivate(cmd)
	if !ok {
		return nil, s.refuse(Malformed)
	}
	if a, no := s.precondition(c.Write); no {
		return nil, a
	}
	again, ok := s.Epoch(c.Again)
	switch {
	case !ok:
		return nil, s.refuse(NoEpoch)
	case again.Revision == s.Current().Revision:
		return nil, s.refuse(Same)
	}
	at.Revision = again.Revision
	return s.with(c.Write, at, s.files[again.Revision])
}

// with returns the state in which one more epoch is in force.
func (s *State) with(w Write, at Epoch, files []File) (*State, Answer) {
	at.Number, at.Who, at.Why, at.Key = s.Current().Number+1, w.Who, w.Why, w.Key
	next := &State{last: max(s.last, at.Revision), files: maps.Clone(s.files), epochs: slices.Clone(s.epochs)}
	if next.files == nil {
		next.files = map[uint64][]File{}
	}
	next.files[at.Revision] = files
	next.epochs = append(next.epochs, at)
	if over := len(next.epochs) - Kept; over > 0 {
		next.epochs = slices.Delete(next.epochs, 0, over)
	}
	next.forget()
	return next, Answer{Done, at.Number}
}

// forget drops the revisions that no epoch names any more.
func (s *State) forget() {
	maps.DeleteFunc(s.files, func(revision uint64, _ []File) bool {
		return !slices.ContainsFunc(s.epochs, func(e Epoch) bool { return e.Revision == revision })
	})
}

// Query answers nothing: every node has the whole state.
func (m *Machine) Query([]byte) []byte { return nil }

// Snapshot returns the state as it is now. Equal states are written as equal bytes.
func (m *Machine) Snapshot() io.WriterTo { return m.state.Load() }

// Restore replaces the state by what a Snapshot wrote. It reads not a byte further than that. After an error
// the state is what it was.
func (m *Machine) Restore(r io.Reader) error {
	next, err := readState(r)
	if err != nil {
		return err
	}
	m.become(next)
	return nil
}
