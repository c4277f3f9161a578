// Package testkv is the state machine of the tests of cluster and of what is inside it.
package testkv

import (
	"encoding/json"
	"fmt"
	"hash/crc64"
	"io"
	"strings"
	"sync"
	"time"
)

// Machine holds texts by key. Its commands are "set k v" (answers the old value), "append k v" (answers the
// new one), "push k v" (answers nothing) and "panic". A query is a key. What has exported names but hooks is
// in its snapshot.
type Machine struct {
	Mu      sync.Mutex `json:"-"` // held by each method, and by who reads the fields
	M       map[string]string
	Applied int // commands applied, ever
	Last    uint64
	Chain   uint64 // over all that was applied, ever
	Now     time.Time

	Applying  func() `json:"-"` // before each command; nil = nothing
	Restoring func() `json:"-"` // before each restore; nil = nothing

	// Note hears of all that is applied; nil = nobody.
	Note func(number int, index, chain uint64, command []byte) `json:"-"`

	// Twist is added to answers, which makes the machine not deterministic; nil = nothing.
	Twist func() string `json:"-"`
}

// New returns a machine that holds nothing.
func New() *Machine { return &Machine{M: map[string]string{}} }

// Apply applies a command.
func (s *Machine) Apply(index uint64, now time.Time, cmd []byte) []byte {
	if s.Applying != nil {
		s.Applying()
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.Applied++
	s.Last, s.Now, s.Chain = index, now, Chained(s.Chain, index, cmd)
	if s.Note != nil {
		s.Note(s.Applied, index, s.Chain, cmd)
	}
	op, rest, _ := strings.Cut(string(cmd), " ")
	k, v, _ := strings.Cut(rest, " ")
	switch op {
	case "set":
		old := s.M[k]
		s.M[k] = v
		return []byte(old)
	case "append":
		s.M[k] += v + ","
		if s.Twist != nil {
			return []byte(s.M[k] + s.Twist())
		}
		return []byte(s.M[k])
	case "push": // append, without an answer that grows
		s.M[k] += v + ","
		return nil
	case "panic":
		panic("told to")
	}
	return []byte("?")
}

// Query returns the value of a key.
func (s *Machine) Query(q []byte) []byte { return []byte(s.Get(string(q))) }

// Get returns the value of a key.
func (s *Machine) Get(k string) string {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.M[k]
}

// State returns all of it, in a form that is equal for equal machines.
func (s *Machine) State() []byte {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	b, _ := json.Marshal(s)
	return b
}

// Frozen is a snapshot that is these bytes.
type Frozen []byte

// WriteTo writes the bytes.
func (f Frozen) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(f)
	return int64(n), err
}

// Snapshot returns the state as it is now.
func (s *Machine) Snapshot() io.WriterTo { return Frozen(s.State()) }

// Restore takes over the state that a snapshot has.
func (s *Machine) Restore(r io.Reader) error {
	if s.Restoring != nil {
		s.Restoring()
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.M = nil
	return json.NewDecoder(r).Decode(s)
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// Chained goes on with a chain, which begins with 0, by one command.
func Chained(chain, index uint64, command []byte) uint64 {
	return crc64.Update(chain, crcTable, append(fmt.Appendf(nil, "%d ", index), command...))
}
