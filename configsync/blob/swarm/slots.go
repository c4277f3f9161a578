package swarm

import (
	"math/rand/v2"
	"slices"
	"time"
)

// slot is a peer, for one Fetch.
type slot struct {
	id        string
	bit       uint64
	present   bool
	asking    bool
	heard     bool      // it has answered a question, or failed to
	last      time.Time // when it was asked last
	interval  time.Duration
	askedDone int  // what lacking.done was when it was asked; -1 = it was not
	cursor    int  // in lacking.order
	idle      bool // it has nothing that could be taken from it now
	many      bool // it sends many small blobs in one answer
	said      error
}

// mostSlots is how many peers one Fetch has, at most.
const mostSlots = 64

// slots are the peers of a Fetch.
type slots struct {
	all  []*slot
	here uint64 // bits of those that are present
}

// meet notes who is present.
func (s *slots) meet(ids []string) {
	s.here = 0
	for _, one := range s.all {
		if one.present = slices.Contains(ids, one.id); one.present {
			s.here |= one.bit
		}
	}
	if len(s.all) == len(ids) && !slices.ContainsFunc(s.all, func(one *slot) bool { return !one.present }) {
		return
	}
	known := len(s.all)
	for _, i := range rand.Perm(len(ids)) {
		if len(s.all) == mostSlots {
			return
		}
		if !slices.ContainsFunc(s.all, func(one *slot) bool { return one.id == ids[i] }) {
			s.all = append(s.all,
				&slot{id: ids[i], bit: 1 << len(s.all), present: true, askedDone: -1, interval: soonest})
		}
	}
	if len(s.all) > known {
		for _, one := range s.all[known:] {
			s.here |= one.bit
		}
		rand.Shuffle(len(s.all), func(a, b int) { s.all[a], s.all[b] = s.all[b], s.all[a] })
	}
}

// hurry has the peers asked soon: somebody must have got a blob, or is just getting it.
func (s *slots) hurry() {
	for _, one := range s.all {
		one.interval = soonest
	}
}

// rewind has all that is lacking looked through again, for each peer.
func (s *slots) rewind() {
	for _, one := range s.all {
		one.rewind()
	}
}

func (s *slot) rewind() { s.cursor, s.idle = 0, false }
