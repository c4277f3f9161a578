package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// ErrDraining is why a stream is to end: its node drains.
var ErrDraining = errors.New("farm: this node drains")

// streamPace is how many streams a draining node tells to go in a second, unless CloseSpread makes it more.
const streamPace = 100

// stream is an exchange that lasts until somebody ends it: events, a WebSocket. Whoever asks for Draining
// is one.
type stream struct {
	ctx   context.Context // ends when it is to go
	tell  context.CancelCauseFunc
	cut   func()        // ends it from outside; nil: nothing does; guarded by streams.mu
	grace time.Duration // from tell to cut; guarded by streams.mu
}

// streams are those of a node. When it drains, they are told to go one after the other, at random, so that
// their clients do not all come to the other nodes at once.
type streams struct {
	mu     sync.Mutex
	all    map[*stream]struct{} // guarded by mu
	none   chan struct{}        // closed when all becomes empty; nil while nobody waits; guarded by mu
	spread *spread              // of the drain that has begun; nil: none; guarded by mu
}

// spread is the time over which the streams of one drain are told to go.
type spread struct {
	of     *streams
	list   []*stream // in the order in which they are told
	began  time.Time
	over   time.Duration   // for those in list
	limit  time.Duration   // for those that come later
	undone <-chan struct{} // closed when the drain is taken back
	done   <-chan struct{} // closed with the Gate
}

// enter adds a stream. While the node drains it is told to go before long.
func (s *streams) enter() *stream {
	st := &stream{}
	st.ctx, st.tell = context.WithCancelCause(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*stream]struct{})
	}
	s.all[st] = struct{}{}
	if s.spread != nil {
		s.spread.tellLateLocked(st)
	}
	return st
}

// arm says how a stream is ended from outside, once it was told to go and its grace is over.
func (s *streams) arm(st *stream, cut func(), grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.cut, st.grace = cut, grace
	if st.ctx.Err() != nil {
		time.AfterFunc(grace, cut)
	}
}

func (s *streams) leave(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, st)
	if len(s.all) == 0 && s.none != nil {
		close(s.none)
		s.none = nil
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// wait returns how many streams there still are when ctx ends, or 0 as soon as there is none.
func (s *streams) wait(ctx context.Context) int {
	for {
		s.mu.Lock()
		n := len(s.all)
		if n > 0 && s.none == nil {
			s.none = make(chan struct{})
		}
		none := s.none
		s.mu.Unlock()
		if n == 0 {
			return 0
		}
		select {
		case <-none:
		case <-ctx.Done():
			return s.count()
		}
	}
}

// drain begins to tell the streams to go, within the limit, until undone or done. tellAll does it.
func (s *streams) drain(limit time.Duration, undone, done <-chan struct{}) *spread {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := min(limit, time.Duration(len(s.all))*time.Second/streamPace)
	sp := &spread{of: s, began: time.Now(), over: over, limit: limit, undone: undone, done: done}
	for st := range s.all {
		sp.list = append(sp.list, st)
	}
	rand.Shuffle(len(sp.list), func(i, j int) { sp.list[i], sp.list[j] = sp.list[j], sp.list[i] })
	s.spread = sp
	return sp
}

// resume says that the drain was taken back. Its undone is closed.
func (s *streams) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spread = nil
}

// dismiss tells a stream to go, and has it cut when its grace is over.
func (s *streams) dismiss(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dismissLocked(st)
}

func (s *streams) dismissLocked(st *stream) {
	if st.ctx.Err() != nil {
		return
	}
	st.tell(ErrDraining)
	if st.cut != nil {
		time.AfterFunc(st.grace, st.cut)
	}
}

// tellAll tells the streams, each at its time.
func (sp *spread) tellAll() {
	for i, st := range sp.list {
		share := (float64(i) + rand.Float64()) / float64(len(sp.list))
		if !sp.await(sp.began.Add(time.Duration(share * float64(sp.over)))) {
			return
		}
		sp.of.dismiss(st)
	}
}

// await waits until it is time, and reports false if the drain was taken back before.
func (sp *spread) await(at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-sp.undone:
		return false
	case <-sp.done:
		return false
	case <-timer.C:
		return true
	}
}

// tellLateLocked tells a stream that has come during the drain, some time before the limit.
func (sp *spread) tellLateLocked(st *stream) {
	left := time.Until(sp.began.Add(sp.limit))
	if left <= 0 {
		sp.of.dismissLocked(st)
		return
	}
	time.AfterFunc(rand.N(left), func() {
		select {
		case <-sp.undone:
		default:
			sp.of.dismiss(st)
		}
	})
}
