package limit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueShare = 4                      // the queue has room for a quarter of the limit
	interval   = 100 * time.Millisecond // a request waits at most; a queue never empty for so long shows overload
	target     = 5 * time.Millisecond   // and then, no longer than this
)

// ErrFull says that there is no room for a request.
var ErrFull = errors.New("too many requests are running")

// Class says which of two that wait comes first.
type Class uint8

const (
	Normal    Class = iota
	Forwarded       // another node has counted on this one
	classes
)

// Limiter counts the requests that run, and bounds them. New makes one; it is safe for concurrent use.
type Limiter struct {
	limit   atomic.Int64 // 0 = none
	running atomic.Int64
	streams atomic.Int64
	waiting atomic.Int64 // in queues; changed under mu
	refused atomic.Uint64
	most    atomic.Int64 // that ran at a time, in this second

	mu       sync.Mutex
	queues   [classes][]*waiter // oldest first; guarded by mu
	nonempty time.Time          // when something began to wait where nothing did; guarded by mu

	adapt *adapt // nil: the limit is fixed
}

// waiter is a request that waits. Exactly one of granted and shed is decided, under Limiter.mu.
type waiter struct {
	since   time.Time
	decided chan struct{} // closed with granted
	granted bool
}

// New returns a Limiter: max requests at a time; 0 = as many as the processors can do, and at least floor;
// negative = any number.
func New(max, floor int) *Limiter {
	l := &Limiter{}
	switch {
	case max > 0:
		l.limit.Store(int64(max))
	case max == 0:
		l.adapt = &adapt{floor: int64(floor)}
	}
	return l
}

// Slot is the place of one running request. The zero Slot is for Enter.
type Slot struct {
	l     *Limiter
	state atomic.Uint32 // slotNone, slotRuns, slotStreams
}

const (
	slotNone uint32 = iota
	slotRuns
	slotStreams
)

// TryEnter takes a place for a request if there is one at once. Slot.Leave gives it back.
func (l *Limiter) TryEnter(class Class, s *Slot) bool {
	if !l.take(class) {
		l.refused.Add(1)
		return false
	}
	s.l = l
	s.state.Store(slotRuns)
	return true
}

// Enter takes a place for a request, for which it may wait. It returns ErrFull if there is none, or why ctx
// has ended.
func (l *Limiter) Enter(ctx context.Context, class Class, s *Slot) error {
	if !l.take(class) {
		if err := l.wait(ctx, class); err != nil {
			l.refused.Add(1)
			return err
		}
	}
	s.l = l
	s.state.Store(slotRuns)
	return nil
}

// Stream takes a request out of the count that goes on as a stream. It does nothing the second time.
func (s *Slot) Stream() {
	if s.state.CompareAndSwap(slotRuns, slotStreams) {
		s.l.streams.Add(1)
		s.l.leave()
	}
}

// Leave ends a request. It does nothing the second time, and for a Slot without a place.
func (s *Slot) Leave() {
	switch s.state.Swap(slotNone) {
	case slotRuns:
		s.l.leave()
	case slotStreams:
		s.l.streams.Add(-1)
	}
}

// take takes a place where there is one, and nobody waits for it who comes first.
func (l *Limiter) take(class Class) bool {
	return (class == Forwarded || l.waiting.Load() == 0) && l.takeAny()
}

func (l *Limiter) takeAny() bool {
	for {
		n, limit := l.running.Load(), l.limit.Load()
		if limit > 0 && n >= limit {
			return false
		}
		if l.running.CompareAndSwap(n, n+1) {
			if n >= l.most.Load() {
				l.most.Store(n + 1) // about
			}
			return true
		}
	}
}

func (l *Limiter) leave() {
	l.running.Add(-1)
	if l.waiting.Load() > 0 {
		l.mu.Lock()
		l.grantLocked()
		l.mu.Unlock()
	}
}

// wait waits in the queue.
func (l *Limiter) wait(ctx context.Context, class Class) error {
	w := l.join(class)
	if w == nil {
		return ErrFull
	}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	var err error
	select {
	case <-w.decided:
	case <-timer.C:
		err = ErrFull
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.removeLocked(class, w) {
		return err
	}
	if !w.granted {
		return ErrFull
	}
	return nil // also where the time was up at the same moment: the place is taken
}

// join puts a request into the queue. It returns nil if that has no room.
func (l *Limiter) join(class Class) *waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.waiting.Load() == 0 {
		l.nonempty = now
	}
	if l.waiting.Load() >= max(l.limit.Load()/queueShare, 1) && !l.makeRoomLocked(class, now) {
		return nil
	}
	w := &waiter{since: now, decided: make(chan struct{})}
	l.queues[class] = append(l.queues[class], w)
	l.waiting.Add(1)
	l.grantLocked() // somebody may have left before this one was counted
	return w
}

// makeRoomLocked refuses the oldest one that waits, of a class that comes after or, under overload, of the
// same.
func (l *Limiter) makeRoomLocked(class Class, now time.Time) bool {
	for c := range class {
		if l.shedLocked(c) {
			return true
		}
	}
	return l.overloadedLocked(now) && l.shedLocked(class)
}

// overloadedLocked reports whether the queue has not become empty for too long.
func (l *Limiter) overloadedLocked(now time.Time) bool {
	return l.waiting.Load() > 0 && now.Sub(l.nonempty) >= interval
}

// grantLocked gives the places that are free to those who wait.
func (l *Limiter) grantLocked() {
	now := time.Now()
	for l.waiting.Load() > 0 && l.takeAny() {
		over := l.overloadedLocked(now)
		for class := Class(classes); class > 0; class-- {
			q := l.queues[class-1]
			if len(q) == 0 {
				continue
			}
			w := q[0]
			if over {
				w = q[len(q)-1]
			}
			l.removeLocked(class-1, w)
			w.granted = true
			close(w.decided)
			break
		}
		if over {
			l.shedOldLocked(now)
		}
	}
}

// shedOldLocked refuses, under overload, those that have waited for too long.
func (l *Limiter) shedOldLocked(now time.Time) {
	for c := range classes {
		for len(l.queues[c]) > 0 && now.Sub(l.queues[c][0].since) > target {
			l.shedLocked(c)
		}
	}
}

// shedLocked refuses the oldest one of a class that waits.
func (l *Limiter) shedLocked(class Class) bool {
	if len(l.queues[class]) == 0 {
		return false
	}
	w := l.queues[class][0]
	l.removeLocked(class, w)
	close(w.decided)
	return true
}

// removeLocked takes w out of its queue, and reports whether it was there.
func (l *Limiter) removeLocked(class Class, w *waiter) bool {
	q := l.queues[class]
	for i := range q {
		if q[i] == w {
			copy(q[i:], q[i+1:])
			q[len(q)-1] = nil
			l.queues[class] = q[:len(q)-1]
			l.waiting.Add(-1)
			return true
		}
	}
	return false
}

// Load is what a Limiter has to do at one moment.
type Load struct {
	Running int    // requests, without streams
	Limit   int    // 0 = none
	Waiting int    // requests, for a place
	Streams int    // that have left the count
	Refused uint64 // requests, so far
}

// Load returns what there is to do.
func (l *Limiter) Load() Load {
	return Load{Running: int(l.running.Load()), Limit: int(l.limit.Load()), Waiting: int(l.waiting.Load()),
		Streams: int(l.streams.Load()), Refused: l.refused.Load()}
}
