package retry

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	suspectTime = 30 * time.Second // that a request is remembered for having brought a peer down
	maxSuspects = 4096
)

// Suspects remembers which kinds of requests have brought a peer down: its connections were lost in the
// middle of one, or the handler panicked. Such a request is not given to a third node. It is safe for
// concurrent use.
type Suspects struct {
	now  func() time.Time
	seed maphash.Seed

	mu    sync.Mutex
	kinds map[uint64]suspect // by fingerprint; guarded by mu
}

// suspect is what one kind of request has done: to which two peers last, and when.
type suspect struct {
	peers [2]string
	at    [2]time.Time
}

// NewSuspects returns an empty memory that reads the time from now.
func NewSuspects(now func() time.Time) *Suspects {
	return &Suspects{now: now, seed: maphash.MakeSeed(), kinds: make(map[uint64]suspect)}
}

// Blame notes that a request with this method and route has brought down a peer.
func (s *Suspects) Blame(method, route, peer string) {
	kind, now := s.kind(method, route), s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.kinds[kind]
	if !known && len(s.kinds) >= maxSuspects {
		s.makeRoomLocked(now)
	}
	if e.peers[0] != peer {
		e.peers[1], e.at[1] = e.peers[0], e.at[0]
	}
	e.peers[0], e.at[0] = peer, now
	s.kinds[kind] = e
}

// Other reports whether a request with this method and route has brought down another peer than this one
// lately.
func (s *Suspects) Other(method, route, peer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kinds) == 0 {
		return false
	}
	now := s.now()
	e := s.kinds[s.kind(method, route)]
	for i, p := range e.peers {
		if p != "" && p != peer && now.Sub(e.at[i]) < suspectTime {
			return true
		}
	}
	return false
}

// kind returns the fingerprint of a request. A method has no space in it.
func (s *Suspects) kind(method, route string) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteString(method)
	h.WriteByte(' ')
	h.WriteString(route)
	return h.Sum64()
}

// makeRoomLocked forgets what is over, or, if nothing is, any one.
func (s *Suspects) makeRoomLocked(now time.Time) {
	for k, e := range s.kinds {
		if now.Sub(e.at[0]) >= suspectTime {
			delete(s.kinds, k)
		}
	}
	for k := range s.kinds {
		if len(s.kinds) < maxSuspects {
			return
		}
		delete(s.kinds, k)
	}
}
