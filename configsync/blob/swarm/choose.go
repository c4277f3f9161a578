package swarm

import (
	"context"
	"math/bits"
	"time"
)

// assign begins transfers: in turn from each peer that has something, as many as may be.
func (j *job) assign(ctx context.Context) {
	if j.patience.rests() {
		return
	}
	for again := true; again; {
		again = false
		for _, s := range j.slots.all {
			if !s.present || s.idle || !j.f.room(s.id, false) {
				continue
			}
			it := j.next(s)
			if it == nil {
				s.idle = true
				continue
			}
			if !j.f.room(s.id, true) {
				s.cursor = 0
				continue
			}
			if more := j.more(s, it); len(more) > 1 {
				j.startBatch(ctx, s, more)
			} else {
				j.start(ctx, s, it)
			}
			again = true
		}
	}
}

// next returns what is to be taken from a peer now.
func (j *job) next(s *slot) *item {
	for ; s.cursor < len(j.lacking.order); s.cursor++ {
		it := j.lacking.order[s.cursor]
		if it.done || it.active || it.holders&s.bit == 0 || (it.wrong|it.busy)&s.bit != 0 {
			continue
		}
		if it.spent&s.bit != 0 && !j.insists(it) {
			continue
		}
		return it
	}
	return nil
}

// more returns an item, and those that may be asked for together with it: fewer, the less is lacking, so that at the
// end nobody waits for the peer that is the slowest. What a peer was asked for it may send as slowly as leastProgress
// allows, and nobody else is asked meanwhile: so it is never much more than one blob may be.
func (j *job) more(s *slot, first *item) []*item {
	if !s.many || !j.together(first) {
		return nil
	}
	items, bytes := []*item{first}, first.ref.Size
	first.active = true
	most, skipped := min(mostMany, 1+j.lacking.count()/16), -1
	for len(items) < most {
		it := j.next(s)
		if it == nil {
			break
		}
		if !j.together(it) || bytes+it.ref.Size > wantBytes {
			if skipped < 0 {
				skipped = s.cursor
			}
			s.cursor++
			continue
		}
		it.active = true
		items, bytes = append(items, it), bytes+it.ref.Size
	}
	if skipped >= 0 {
		s.cursor = skipped
	}
	first.active = len(items) > 1
	return items
}

// together reports whether an item may be asked for together with others.
func (j *job) together(it *item) bool {
	return it.ref.Size <= smallBlob && it.part == nil && !j.insists(it)
}

// longestHope is for how many times insist a peer is waited for that promises a blob: longer than a peer can be busy
// (turnSlow).
const longestHope = 20

// insists reports whether all who are present and could send a blob have sent it often enough, for so long that
// one has to send it all the same: those to whom they have sent it are gone. Whoever says that it has the blob,
// and neither sends it nor says that it was spent, is waited for no longer than longestHope.
func (j *job) insists(it *item) bool {
	if it.first.IsZero() || time.Since(it.first) <= j.f.insist {
		return false
	}
	hopes := it.since.IsZero() || time.Since(it.since) <= j.f.insist ||
		it.holders&j.slots.here&^it.wrong&^it.spent&^it.failed != 0
	return !hopes || time.Since(it.first) > longestHope*j.f.insist
}

// ones returns how many peers there are in a set.
func ones(x uint64) int { return bits.OnesCount64(x) }
