package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// maxTries bounds how often Update runs its function. What ends first under any sane load is CommitTimeout.
const maxTries = 1000

// glance is a value as Update last saw it.
type glance struct {
	value   []byte
	found   bool
	version uint64 // of the committed value
	own     bool   // value is this request's own, buffered one: what others do in between does not change it
	edits   int    // of the change it is from
}

// update replaces a value by f of it. f runs again with the newest value each time another change came first.
func (s *Session) update(ctx context.Context, name string, f func(old []byte, found bool) ([]byte, error)) error {
	ctx, cancel := context.WithTimeout(ctx, s.m.cfg.CommitTimeout)
	defer cancel()
	g, err := s.glance(name)
	if err != nil {
		return err
	}
	of := s.turn(name)
	contended := s.m.turns.busy(of)
	var mine *turn
	for try := range maxTries {
		if contended && mine == nil {
			of = s.turn(name) // the session may have been made meanwhile
			if mine, err = s.m.turns.take(ctx, of); err != nil {
				return fmt.Errorf("%w: %w", ErrConflict, err)
			}
			defer s.m.turns.pass(of, mine)
			mine.yield(ctx)
			s.refresh(ctx, name, &g)
		}
		value, err := f(g.value, g.found)
		if err != nil {
			return err
		}
		began := time.Now()
		err = s.swap(ctx, name, &g, value)
		if mine != nil {
			mine.took = time.Since(began)
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
		contended = true
		if mine != nil && !pause(ctx, backoff(try)) {
			return fmt.Errorf("%w: %w", ErrConflict, ctx.Err())
		}
	}
	return ErrConflict
}

// glance returns the value as the request sees it.
func (s *Session) glance(name string) (g glance, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	if err := s.openLocked(); err != nil {
		return g, err
	}
	return s.glanceLocked(name), nil
}

func (s *Session) glanceLocked(name string) (g glance) {
	if i := s.findLocked(name); i >= 0 {
		c := &s.changes[i]
		return glance{value: c.value, found: c.found, version: c.version, own: c.pending, edits: c.edits}
	}
	g.value, g.version, g.found = s.storedLocked(name)
	return g
}

// swap puts value in the place of what was seen in g. On ErrConflict g is what is there now.
func (s *Session) swap(ctx context.Context, name string, g *glance, value []byte) error {
	limits := s.m.store.Status().Limits
	s.mu.Lock()
	err := s.fitsLocked(name, value, limits)
	phase, key := s.phase, s.key
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if phase == anonymous {
		return s.createWith(ctx, name, g, value)
	}
	if err := s.roomToGrow(Entry{Name: name, Value: value}); err != nil {
		return err
	}
	a, err := s.m.do(ctx, CAS{Key: key, Name: name, Version: g.version, Value: value})
	if errors.Is(err, ErrConflict) {
		g.moved(a.Value, a.Found, a.Version)
		return err
	}
	return s.swapped(key, name, g, value, a, err)
}

// moved takes note of a newer committed value.
func (g *glance) moved(value []byte, found bool, version uint64) {
	g.version = version
	if !g.own {
		g.value, g.found = value, found
	}
}

// createWith makes the session with this one value. What else is buffered stays so.
func (s *Session) createWith(ctx context.Context, name string, g *glance, value []byte) error {
	s.order.Lock()
	defer s.order.Unlock()
	s.mu.Lock()
	raced := s.phase != anonymous
	if raced { // another goroutine of this request made it first
		*g = s.glanceLocked(name)
	}
	s.mu.Unlock()
	if raced {
		return ErrConflict
	}
	a, err := s.create(ctx, []Entry{{Name: name, Value: value}})
	s.mu.Lock()
	key := s.key
	s.mu.Unlock()
	return s.swapped(key, name, g, value, a, err)
}

// swapped takes note of the outcome of a swap in the session of key. ErrConflict means that the request has renewed the session
// meanwhile, and the swap came too late for the old key.
func (s *Session) swapped(key StoreKey, name string, g *glance, value []byte, a Answer, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, ErrEnded) && s.phase == alive && s.key != key {
		return ErrConflict
	}
	if err != nil {
		s.failedLocked(key, err)
		return err
	}
	if s.phase != alive || s.key != key { // ended by this request since, or renewed: then a look at the store tells
		return nil
	}
	s.wrote = max(s.wrote, a.Index)
	c := s.changeLocked(name)
	c.version = a.Version
	if c.edits == g.edits { // else another goroutine has set it since, and that is yet to come
		s.showLocked(c, value, true)
		c.pending = false
	}
	return nil
}

// refresh moves g to what the nearest copy holds: after a conflict that is at least what the conflict told.
func (s *Session) refresh(ctx context.Context, name string, g *glance) {
	rec, ok, err := s.m.store.Load(ctx, s.turn(name).key, Freshness{})
	if ok && err == nil {
		value, version, found := rec.Value(name)
		g.moved(value, found, version)
	}
}

// turns has those who update one value on this node, and have met others doing so, do it one after another. Nothing
// depends on it but speed: the store decides. Without it, 64 updates at once would fail each other 2,000 times.
type turns struct {
	mu sync.Mutex
	of map[turnOf]*turn
}

type turnOf struct {
	key  StoreKey
	name string
}

type turn struct {
	holder chan struct{} // full while somebody holds the turn; those who wait are served in order
	users  int           // the holder and those who wait

	// These belong to the holder.
	since time.Time     // when this node last began, or yielded
	took  time.Duration // the last swap
}

// A node whose Updates succeed tends to go on succeeding, because it hears first of its own change. That is good for
// throughput and bad for the others, so it stands back from time to time, long enough for them to try twice.
const (
	yieldEvery = 100 * time.Millisecond
	yieldFor   = 12 * time.Millisecond
)

func (t *turn) yield(ctx context.Context) {
	switch {
	case t.since.IsZero():
		t.since = time.Now()
	case time.Since(t.since) > yieldEvery:
		pause(ctx, max(yieldFor, min(3*t.took, yieldEvery)))
		t.since = time.Now()
	}
}

// backoff returns how long to wait after a conflict.
func backoff(try int) time.Duration {
	const shortest, longest = 500 * time.Microsecond, 4 * time.Millisecond
	return rand.N(min(shortest<<min(try, 10), longest))
}

func (s *Session) turn(name string) turnOf {
	s.mu.Lock()
	defer s.mu.Unlock()
	return turnOf{s.key, name}
}

func (t *turns) busy(of turnOf) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[of] != nil
}

// take waits for the turn. Whoever got it passes it on.
func (t *turns) take(ctx context.Context, of turnOf) (*turn, error) {
	t.mu.Lock()
	if t.of == nil {
		t.of = map[turnOf]*turn{}
	}
	n := t.of[of]
	if n == nil {
		n = &turn{holder: make(chan struct{}, 1)}
		t.of[of] = n
	}
	n.users++
	t.mu.Unlock()
	select {
	case n.holder <- struct{}{}:
		return n, nil
	case <-ctx.Done():
		t.leave(of, n)
		return nil, ctx.Err()
	}
}

func (t *turns) pass(of turnOf, n *turn) {
	<-n.holder
	t.leave(of, n)
}

func (t *turns) leave(of turnOf, n *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.users--; n.users == 0 {
		delete(t.of, of)
	}
}
