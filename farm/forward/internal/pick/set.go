package pick

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// idleFill is the part of its limit below which a peer has room for what another node has too much of.
const idleFill = 0.7

// Set is the peers among which to choose. NewSet makes one; it is safe for concurrent use.
type Set struct {
	// Told is called when a peer is ejected, with for how long, and with 0 when it is back. nil = nobody. It is
	// set before the first Pick.
	Told func(p *Peer, out time.Duration)

	now  func() time.Time
	rand func() uint64
	base time.Time // times are nanoseconds since

	offered   atomic.Pointer[[]*Peer]
	panicking atomic.Int64 // until when ejections count for nothing
	looked    atomic.Int64 // when outliers were looked for

	mu sync.Mutex // orders offers and ejections
}

// NewSet returns an empty Set that reads the time from now. random returns any number; nil = math/rand/v2.
func NewSet(now func() time.Time, random func() uint64) *Set {
	if random == nil {
		random = rand.Uint64
	}
	s := &Set{now: now, rand: random, base: now()}
	s.offered.Store(new([]*Peer))
	return s
}

func (s *Set) nanos() int64 { return int64(s.now().Sub(s.base)) + 1 }

// New returns a Peer that can be offered, with what its Of returns. One that left and came back is a new one.
func (s *Set) New(id string, of any) *Peer {
	p := &Peer{id: id, of: of, set: s}
	p.reported.Store(-int64(reportFresh))
	p.risen.Store(rampDone)
	return p
}

// Offer says which peers may be chosen from now on. One that could not be chosen before gets its share little
// by little, unless this node has begun no longer ago than that takes: then everybody is new to it. It keeps
// peers and does not change it.
func (s *Set) Offer(peers []*Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, now := *s.offered.Load(), s.nanos()
	for _, p := range peers {
		if !slices.Contains(old, p) {
			p.rise(now)
		}
	}
	s.offered.Store(&peers)
	s.alarmLocked(now)
}

// Spare reports whether Pick with Want.Idle would find somebody.
func (s *Set) Spare() bool {
	w, now := Want{Idle: true}, s.nanos()
	for _, p := range *s.offered.Load() {
		if s.stands(p, &w, now) == well {
			return true
		}
	}
	return false
}

// Others reports whether a request that these have had could go to another peer.
func (s *Set) Others(tried []*Peer) bool {
	for _, p := range *s.offered.Load() {
		if !p.draining.Load() && !slices.Contains(tried, p) {
			return true
		}
	}
	return false
}

// Want is what a request needs of the peer that is chosen for it.
type Want struct {
	// Tried are the peers that have had it. None of them is chosen.
	Tried []*Peer
	// Safe says that it may be done twice: it may find out whether an ejected peer is well again.
	Safe bool
	// Idle has only such peers chosen that are well and have room for more: less than 0.7 of their limit is
	// in use. It is for a node that has too much itself and would rather keep a request than have it refused.
	Idle bool
}

// standing says how a peer may be chosen.
type standing uint8

const (
	never standing = iota
	last           // if there is nobody else
	well
	probing // well, if it is given one request to show it
)

// stands says how p may be chosen for w.
func (s *Set) stands(p *Peer, w *Want, now int64) standing {
	if slices.Contains(w.Tried, p) || p.draining.Load() {
		return never
	}
	st := well
	if until := p.ejected.Load(); until != 0 && now >= s.panicking.Load() {
		switch {
		case now < until, p.probe.Load(), !w.Safe && now < until+int64(anyProbe):
			st = last
		default:
			st = probing
		}
	}
	if now < p.shun.Load() || p.down.Load() || p.fill(now) >= 1 {
		st = last
	}
	if w.Idle && (st != well || p.fill(now) >= idleFill) {
		return never
	}
	return st
}

// tries is how often Pick looks for one of its two candidates before it looks at all peers.
const tries = 4

// Pick chooses a peer and counts the request there; Done ends it. It returns nil if there is none. If all are
// unwell, it chooses one of those: better than nobody.
func (s *Set) Pick(w Want) *Peer {
	all := *s.offered.Load()
	now := s.nanos()
	p := s.choose(all, &w, now)
	if p == nil {
		return nil
	}
	p.flight.Add(1)
	p.chosen.Add(1)
	return p
}

// few peers are looked at all, which is as fast.
const few = 4

func (s *Set) choose(all []*Peer, w *Want, now int64) *Peer {
	if len(all) <= few {
		return s.search(all, w, now)
	}
	var first *Peer
	for range 2 * tries {
		p := all[s.below(len(all))]
		if p == first {
			continue
		}
		switch s.stands(p, w, now) {
		case probing:
			if p.probe.CompareAndSwap(false, true) {
				return p
			}
		case well:
			if first != nil {
				return s.better(first, p, now)
			}
			first = p
		}
	}
	return s.search(all, w, now)
}

// search looks at all peers, where most cannot be chosen or are few.
func (s *Set) search(all []*Peer, w *Want, now int64) *Peer {
	var best [2]*Peer // two of the best, any of them with equal chances
	level, seen := last, 0
	for _, p := range all {
		st := s.stands(p, w, now)
		if st == probing {
			if p.probe.CompareAndSwap(false, true) {
				return p
			}
			st = last
		}
		if st < level {
			continue
		}
		if st > level {
			level, seen, best = st, 0, [2]*Peer{}
		}
		seen++
		if seen <= 2 {
			best[seen-1] = p
		} else if i := s.below(seen); i < 2 {
			best[i] = p
		}
	}
	if best[1] == nil {
		return best[0]
	}
	return s.better(best[0], best[1], now)
}

// better returns the one of two that has less to do: in flight times latency. One that has not its whole
// share yet takes the other's place only so often as its share is of the other's.
func (s *Set) better(a, b *Peer, now int64) *Peer {
	x, y := a.mean(now), b.mean(now)
	if x == 0 || y == 0 { // one of them has not shown it
		x, y = 1, 1
	}
	x *= a.load(now) + 1
	y *= b.load(now) + 1
	if y < x || y == x && s.rand()&(1<<40) == 0 {
		a, b = b, a
	}
	if mine, other := a.share(now), b.share(now); mine < other && s.chance() >= mine/other {
		return b
	}
	return a
}

func (s *Set) below(n int) int { return int((s.rand() >> 33) % uint64(n)) }

func (s *Set) chance() float64 { return float64(s.rand()>>11) / (1 << 53) }
