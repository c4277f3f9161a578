package cluster

import (
	"encoding/json"
	"io"
	"strings"
	"sync"
	"time"
)

// kv is the state machine of the tests: commands "set k v", "append k v" (answers the new value), "push k v", "panic".
type kv struct {
	mu      sync.Mutex
	M       map[string]string
	Applied int // commands applied, ever
	Last    uint64
	Chain   uint64 // over all that was applied, ever
	Now     time.Time
	slow    *slowness                                             // nil = it takes no time
	note    func(number int, index, chain uint64, command []byte) // hears of all that is applied; nil = nobody does
	twist   func() string                                         // what it adds to its answers, for a machine that is not deterministic; nil = nothing
}

func newKV() StateMachine { return &kv{M: map[string]string{}} }

func (s *kv) Apply(index uint64, now time.Time, cmd []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Applied++
	s.Last, s.Now, s.Chain = index, now, chained(s.Chain, index, cmd)
	if s.note != nil {
		s.note(s.Applied, index, s.Chain, cmd)
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
		if s.twist != nil {
			return []byte(s.M[k] + s.twist())
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

func (s *kv) Query(q []byte) []byte { return []byte(s.get(string(q))) }

func (s *kv) get(k string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.M[k]
}

func (s *kv) state() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, _ := json.Marshal(s)
	return b
}

type frozen []byte

func (f frozen) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(f)
	return int64(n), err
}

func (s *kv) Snapshot() io.WriterTo { return frozen(s.state()) }

func (s *kv) Restore(r io.Reader) error {
	s.slow.restoring()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.M = nil
	return json.NewDecoder(r).Decode(s)
}
