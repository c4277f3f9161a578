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
	askedDone int  // what job.done was when it was asked; -1 = it was not
	cursor    int  // in job.order
	idle      bool // it has nothing that could be taken from it now
	many      bool // it sends many small blobs in one answer
	said      error
}

// meet notes who is present.
func (j *job) meet() {
	ids := j.f.config.Peers()
	j.here = 0
	for _, s := range j.slots {
		if s.present = slices.Contains(ids, s.id); s.present {
			j.here |= s.bit
		}
	}
	if len(j.slots) == len(ids) && !slices.ContainsFunc(j.slots, func(s *slot) bool { return !s.present }) {
		return
	}
	known := len(j.slots)
	for _, i := range rand.Perm(len(ids)) {
		if len(j.slots) == mostSlots {
			return
		}
		if !slices.ContainsFunc(j.slots, func(s *slot) bool { return s.id == ids[i] }) {
			j.slots = append(j.slots,
				&slot{id: ids[i], bit: 1 << len(j.slots), present: true, askedDone: -1, interval: soonest})
		}
	}
	if len(j.slots) > known {
		for _, s := range j.slots[known:] {
			j.here |= s.bit
		}
		rand.Shuffle(len(j.slots), func(a, b int) { j.slots[a], j.slots[b] = j.slots[b], j.slots[a] })
	}
}

// hurry has the peers asked soon: somebody must have got a blob, or is just getting it.
func (j *job) hurry() {
	for _, s := range j.slots {
		s.interval = soonest
	}
}
