package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// maxTries bounds how often Update runs its function. What ends first under any sane load is CommitTimeout.
const maxTries = 1000

// glance is a value as Update last saw it.
type glance struct {
	value   []byte
	found   bool
	version uint64 // of the committed value
	at      uint64 // index of the change after which it was so
	own     bool   // value is this request's own, buffered one: what others do in between does not change it
	edits   int    // of the change it is from
	phase   phase  // of the session then
}

// update replaces a value by f of it. f runs again with the newest value each time another change came first.
func (s *Session) update(ctx context.Context, name string, f func(old []byte, found bool) ([]byte, error)) error {
	if err := s.replace(ctx, name, f); err != nil {
		return err
	}
	return s.carried(ctx)
}

func (s *Session) replace(ctx context.Context, name string, f func(old []byte, found bool) ([]byte, error)) error {
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
		if mine != nil && !sleep.For(ctx, backoff(try)) {
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

func (s *Session) glanceLocked(name string) glance {
	g := glance{phase: s.phase}
	if i := s.findLocked(name); i >= 0 {
		c := &s.changes[i]
		g.value, g.found, g.own, g.edits = c.value, c.found, c.state != clean, c.edits
		g.version, g.at = c.stored.version, c.stored.at
		return g
	}
	g.value, g.version, g.found = s.storedLocked(name)
	g.at = s.record.Mod
	return g
}

// swap puts value in the place of what was seen in g. On ErrConflict g is what is there now.
func (s *Session) swap(ctx context.Context, name string, g *glance, value []byte) error {
	limits := s.m.store.Status().Limits
	s.mu.Lock()
	err := s.fitsLocked(name, value, limits)
	key := s.key
	s.mu.Unlock()
	switch {
	case err != nil:
		return err
	case g.own || g.phase == anonymous:
		return s.swapInOrder(ctx, name, g, value)
	}
	if err := s.roomToGrow(Entry{Name: name, Value: value}); err != nil {
		return err
	}
	a, err := s.m.do(ctx, CAS{Key: key, Name: name, Version: g.version, Value: value})
	return s.swapped(key, name, g, value, a, err)
}

// swapInOrder is swap where the request has an edit of its own, which travels with it, or no session yet: nothing else of the
// request may be on its way then. What else is buffered stays so.
func (s *Session) swapInOrder(ctx context.Context, name string, g *glance, value []byte) error {
	if err := s.order.lock(ctx); err != nil {
		return err
	}
	defer s.order.Unlock()
	s.mu.Lock()
	now, key := s.glanceLocked(name), s.key
	s.mu.Unlock()
	if now.own != g.own || now.edits != g.edits || now.phase != g.phase { // another goroutine of this request came first
		*g = now
		return ErrConflict
	}
	if g.phase == anonymous {
		a, err := s.create(ctx, []Entry{{Name: name, Value: value}})
		if err != nil {
			return err
		}
		s.mu.Lock()
		key = s.key
		s.mu.Unlock()
		return s.swapped(key, name, g, value, a, nil)
	}
	if err := s.roomToGrow(Entry{Name: name, Value: value}); err != nil {
		return err
	}
	a, err := s.m.do(ctx, CAS{Key: key, Name: name, Version: g.version, Value: value})
	return s.swapped(key, name, g, value, a, err)
}

// swapped takes note of the outcome of a swap in the session of key. ErrConflict may mean that the request has renewed the
// session meanwhile, and the swap came too late for the old key.
func (s *Session) swapped(key StoreKey, name string, g *glance, value []byte, a Answer, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.phase == alive && s.key == key
	switch {
	case errors.Is(err, ErrEnded) && s.phase == alive && !own:
		return ErrConflict
	case errors.Is(err, ErrConflict):
		now := stored{value: a.Value, found: a.Found, version: a.Version, at: a.Index}
		s.learnLocked(s.changeLocked(name), now) // what f is shown now, reads must not go behind
		g.moved(now)
		return err
	case err != nil:
		s.failedLocked(key, err)
		if !unchanged(err) && own {
			s.changeLocked(name).stored.doubt = true
		}
		return err
	case !own: // ended by this request since, or renewed: then a look at the store tells
		return nil
	}
	s.wrote = max(s.wrote, a.Index)
	c := s.changeLocked(name)
	if c.edits == g.edits { // else another goroutine has set it since, and that is yet to come
		c.state = clean
	}
	s.learnLocked(c, stored{value: value, found: true, version: a.Version, at: a.Index})
	return nil
}

// moved takes note of what is in the store, unless that is older than what is known.
func (g *glance) moved(now stored) {
	if now.at > 0 && now.at < g.at {
		return
	}
	g.version, g.at = now.version, max(now.at, g.at)
	if !g.own {
		g.value, g.found = now.value, now.found
	}
}

// refresh moves g to what the nearest copy holds: after a conflict that is at least what the conflict told.
func (s *Session) refresh(ctx context.Context, name string, g *glance) {
	rec, ok, err := s.m.store.Load(ctx, s.turn(name).key, Freshness{})
	if ok && err == nil {
		value, version, found := rec.Value(name)
		g.moved(stored{value: value, found: found, version: version, at: rec.Mod})
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
		sleep.For(ctx, max(yieldFor, min(3*t.took, yieldEvery)))
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
