package session_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/session"
)

// tally counts commands; of touches, the sessions in them.
func tally(cmds []session.Command) (touched, ticks, others int) {
	for _, cmd := range cmds {
		switch cmd := cmd.(type) {
		case session.Touch:
			touched += len(cmd.Keys)
		case session.Tick:
			ticks++
		default:
			others++
		}
	}
	return touched, ticks, others
}

func exists(t *testing.T, want bool) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		if _, got := note.Get(ctx); got != want {
			t.Helper()
			return errors.New(time.Now().Format(time.TimeOnly) + ": the session's existence is wrong")
		}
		return nil
	}
}

// A session that is used lives on, one that is not ends; both end at their absolute end.
func TestIdleAndAbsolute(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store)
		used, unused := newRequest(), newRequest()
		call(t, m, used, setNote("used"))
		call(t, m, unused, setNote("unused"))
		for range 100 { // 16 h 40 min: the used one would end after 12 h
			if time.Sleep(10 * time.Minute); store.Status().Sessions == 0 {
				break
			}
			call(t, m, used, func(ctx context.Context) error { note.Get(ctx); return nil })
		}
		call(t, m, unused, exists(t, false))
		call(t, m, used, exists(t, false))
		if n := store.Status().Sessions; n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

func TestIdleIsExact(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newManager(t, session.NewMemory())
		r := newRequest()
		call(t, m, r, setNote("x"))
		for range 5 {
			time.Sleep(29 * time.Minute)
			call(t, m, r, exists(t, true))
			time.Sleep(2 * time.Second) // the touch goes out
		}
		time.Sleep(30 * time.Minute)
		call(t, m, r.Clone(t.Context()), exists(t, true)) // not a moment too early, and this is a use
		time.Sleep(32 * time.Minute)
		call(t, m, r, exists(t, false))
	})
}

func TestAbsoluteIsExact(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newManager(t, session.NewMemory(), func(c *session.Config) { c.Absolute, c.Idle = time.Hour, 30*time.Minute })
		r := newRequest()
		call(t, m, r, setNote("x"))
		for range 5 {
			time.Sleep(10 * time.Minute)
			call(t, m, r, exists(t, true))
		}
		time.Sleep(10*time.Minute - time.Second)
		call(t, m, r, exists(t, true))
		time.Sleep(time.Second)
		call(t, m, r, exists(t, false))
	})
}

// An hour of a thousand requests a minute on one session costs at most one touch a minute, and nothing else.
func TestTouchesAreCoalesced(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store)
		a, b := newRequest(), newRequest()
		call(t, m, a, setNote("a"))
		call(t, m, b, setNote("b"))
		for range 60 {
			for range 20 {
				call(t, m, a, exists(t, true))
				call(t, m, b, exists(t, true))
				time.Sleep(3 * time.Second)
			}
		}
		touched, ticks, others := tally(store.seen())
		if touched > 2*61 || touched < 2*50 || others != 3 || // two sessions, and the limits once
			ticks > 360 || ticks < 200 {
			t.Errorf("%d sessions touched, %d ticks, %d others", touched, ticks, others)
		}
	})
}

// Three nodes watch; about one of them proposes each Tick. Without sessions nobody does.
func TestTicksAreShared(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 3)
		time.Sleep(10 * time.Minute)
		limits := l.count() // each node may have proposed its limits once
		if limits > 3 {
			t.Errorf("%d commands without a session", limits)
		}
		r := newRequest()
		call(t, ms[0], r, setNote("x"))
		time.Sleep(10 * time.Minute)
		l.mu.Lock()
		n := len(l.entries) - 1 - limits
		l.mu.Unlock()
		if n < 35 || n > 75 {
			t.Errorf("%d ticks in ten minutes", n)
		}
		time.Sleep(time.Hour)
		if n := l.nodes[2].machine.Len(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		synctest.Wait()
	})
}

// 5,000 sessions that end together are collected within a few seconds, by many Ticks in a row.
func TestManyEndTogether(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		store := session.NewMemory()
		newManager(t, store)
		for i := range 5000 {
			store.Do(t.Context(), session.Create{Key: session.StoreKey{byte(i), byte(i >> 8)}, Idle: time.Hour, Absolute: time.Minute})
		}
		time.Sleep(time.Minute + 17*time.Second)
		if n := store.Status().Sessions; n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// Touches fail, and nobody notices but the session.
func TestTouchesMayFail(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store)
		r := newRequest()
		call(t, m, r, setNote("x"))
		store.set(func(cmd session.Command) error {
			if _, ok := cmd.(session.Touch); ok {
				return session.ErrNoLeader
			}
			return nil
		})
		time.Sleep(20 * time.Minute)
		call(t, m, r, exists(t, true))
		time.Sleep(20 * time.Minute)
		call(t, m, r, exists(t, false))
	})
}

// What has ended is not asked for again and again, and its token may start anew.
func TestComingBackAfterTheEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 1)
		r := newRequest()
		call(t, ms[0], r, setNote("x"))
		for _, after := range []time.Duration{33 * time.Minute, time.Minute, 20 * time.Minute} {
			time.Sleep(after)
			call(t, ms[0], r, exists(t, false))
		}
		if _, b, _ := l.nodes[0].counts(); b > 1 {
			t.Errorf("%d barriers", b)
		}
		resp := call(t, ms[0], r, setNote("again"))
		if !setsCookie(resp.Header, "sid") {
			t.Error("no new session")
		}
		call(t, ms[0], r, wantNote("again"))
	})
}

// A token older than any session can be asks nobody.
func TestOldTokenAsksNobody(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 1)
		r := newRequest()
		call(t, ms[0], r, setNote("x"))
		time.Sleep(12*time.Hour + 2*time.Second)
		call(t, ms[0], r, exists(t, false))
		if _, b, q := l.nodes[0].counts(); b+q != 0 {
			t.Errorf("%d barriers, %d queries", b, q)
		}
	})
}

// The machine's own clock is a year off: the store's time decides.
func TestClockOfTheNodeDoesNotMatter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, skew := range []time.Duration{-365 * 24 * time.Hour, 365 * 24 * time.Hour} {
			log := &skewed{machine: session.NewMachine(), skew: skew}
			m := newManager(t, log.log())
			r := newRequest()
			call(t, m, r, setNote("x"))
			time.Sleep(20 * time.Minute)
			call(t, m, r, wantNote("x"))
		}
	})
}

// skewed is a store whose log's time is off: as seen from here, this node's clock is.
type skewed struct {
	machine *session.Machine
	mu      sync.Mutex
	index   uint64
	skew    time.Duration
}

func (s *skewed) Propose(ctx context.Context, cmd []byte) (uint64, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	return s.index, s.machine.Apply(s.index, time.Now().Add(s.skew), cmd), nil
}

func (s *skewed) log() session.Store {
	return session.NewReplicated(s, func() *session.Machine { return s.machine }, func() string { return "c" })
}

func (s *skewed) Query(ctx context.Context, q []byte) ([]byte, error) { return s.machine.Query(q), nil }
func (s *skewed) Barrier(ctx context.Context) error                   { return nil }
func (s *skewed) Wait(ctx context.Context, index uint64) error        { return nil }
func (s *skewed) Spread(ctx context.Context, index uint64) error      { return nil }
func (s *skewed) Applied() uint64                                     { return s.machine.Applied() }
func (s *skewed) Staleness() time.Duration                            { return 0 }
func (s *skewed) Level() int                                          { return 3 }

// overdue is a log whose node never has what was done when Propose returns.
type overdue struct{ *skewed }

func (o overdue) Propose(ctx context.Context, cmd []byte) (uint64, []byte, error) {
	index, value, _ := o.skewed.Propose(ctx, cmd)
	return index, value, session.ErrUncertain
}

// What was done, and what was refused, is known although this node is late: nobody is told that the outcome is unknown.
func TestOutcomeOnALateNode(t *testing.T) {
	log := overdue{&skewed{machine: session.NewMachine()}}
	store := session.NewReplicated(log, func() *session.Machine { return log.machine }, func() string { return "c" })
	key := session.StoreKey{1}
	create := session.Create{Key: key, Idle: time.Hour, Absolute: time.Hour}
	if a, err := store.Do(t.Context(), create); err != nil || a.Index != 1 {
		t.Errorf("create: %+v, %v", a, err)
	}
	if a, err := store.Do(t.Context(), create); !errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrUncertain) {
		t.Errorf("create again: %+v, %v", a, err)
	}
}

func TestClose(t *testing.T) {
	bubble.Test(t, func(t *testing.T) { // the bubble fails if a goroutine is left
		m, err := session.New(session.NewMemory(), session.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := m.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
}

// When all sessions have ended, what is remembered of them is forgotten too, and then nobody ticks.
func TestTombstonesAreForgotten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 2)
		for range 20 {
			r := newRequest()
			call(t, ms[0], r, setNote("x"))
			call(t, ms[0], r, func(ctx context.Context) error { return session.From(ctx).Destroy(ctx) })
		}
		time.Sleep(time.Second)
		if n := l.nodes[1].machine.Tombstones(); n != 20 {
			t.Errorf("%d tombstones, want 20", n)
		}
		time.Sleep(10 * time.Minute)
		if n := l.nodes[1].machine.Tombstones(); n != 0 {
			t.Errorf("%d tombstones are left", n)
		}
		l.mu.Lock()
		n := len(l.entries)
		l.mu.Unlock()
		time.Sleep(time.Hour)
		l.mu.Lock()
		defer l.mu.Unlock()
		if more := len(l.entries) - n; more != 0 {
			t.Errorf("%d commands with nothing left", more)
		}
	})
}

// A change that every node in service must have by now is announced to nobody any more.
func TestOldChangesNeedNoIndex(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, ms := nodes(t, 2)
		r := newRequest()
		call(t, ms[0], r, setNote("x"))
		forgets := newRequest()
		forgets.AddCookie(cookie(t, r, "sid"))
		resp := call(t, ms[1], forgets.Clone(forgets.Context()), wantNote("x"))
		if !setsCookie(resp.Header, "six") {
			t.Error("a young change is not announced")
		}
		time.Sleep(3 * time.Minute)
		resp = call(t, ms[1], forgets, wantNote("x"))
		if setsCookie(resp.Header, "six") {
			t.Error("an old change is announced")
		}
	})
}

func cookie(t *testing.T, r *http.Request, name string) *http.Cookie {
	t.Helper()
	c, err := r.Cookie(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
