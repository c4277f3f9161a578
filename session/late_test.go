package session_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// A Set that said nil is stored, whenever it came: here, while the last changes of the request are on their way.
func TestNoSetIsDropped(t *testing.T) {
	for _, when := range []string{"before the header", "at the header", "new session", "after the handler"} {
		t.Run(when, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				g := newGate()
				store := &stopped{Store: session.NewMemory()}
				m := newManager(t, store)
				r := newRequest()
				if when != "new session" {
					r = sessiontest.Request(t, m, r, setNote("x"))
				}
				store.before = func(cmd session.Command) {
					if _, touch := cmd.(session.Touch); !touch {
						g.hold()
					}
				}
				var wg sync.WaitGroup
				var err error
				during := func(ctx context.Context) {
					wg.Go(func() {
						synctest.Wait() // the commit is held up
						err = flash.Set(ctx, "from a goroutine")
						g.open()
					})
				}
				resp := within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
					switch when {
					case "before the header":
						note.Set(ctx, "first")
						during(ctx)
						session.From(ctx).Save(ctx)
					case "at the header", "new session":
						note.Set(ctx, "first")
						during(ctx)
						w.WriteHeader(204)
					case "after the handler":
						io.WriteString(w, "the header is out")
						note.Delete(ctx)
						during(ctx)
					}
				})
				wg.Wait()
				sessiontest.Carry(r, resp)
				call(t, m, r, func(ctx context.Context) error {
					if v, ok := flash.Get(ctx); ok != (err == nil) {
						t.Errorf("Set said %v; the next request reads %q, %v", err, v, ok)
					}
					return nil
				})
				if refused := when == "after the handler"; errors.Is(err, session.ErrHeadersSent) != refused {
					t.Errorf("Set said %v", err)
				}
			})
		})
	}
}

// A Set behind the header is committed at once, and says so if it cannot be: then the request has not set it.
func TestLateSetSaysThatItFailed(t *testing.T) {
	for _, failure := range []error{session.ErrNoLeader, session.ErrUncertain, session.ErrTooLarge, session.ErrEnded, errDisk} {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store)
		r := sessiontest.Request(t, m, newRequest(), setNote("x"))
		within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
			io.WriteString(w, "the header is out")
			if err := note.Set(ctx, "late"); err != nil {
				t.Error(err)
			}
			call(t, m, r.Clone(t.Context()), wantNote("late")) // while the handler still runs
			store.set(func(session.Command) error { return failure })
			if err := note.Set(ctx, "failed"); !errors.Is(err, failure) {
				t.Errorf("Set said %v, want %v", err, failure)
			}
			if v := note.Or(ctx, "absent"); v != "late" {
				t.Errorf("%v: the request reads %q", failure, v)
			}
			store.set(nil)
		})
		call(t, m, r, wantNote("late"))
	}
}

// After an error page, nothing of the request is kept, and it is told so.
func TestSetAfterAnErrorPage(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	r := sessiontest.Request(t, m, newRequest(), setNote("x"))
	resp := within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
		note.Set(ctx, "y")
		store.set(func(session.Command) error { return session.ErrNoLeader })
		w.WriteHeader(200)
		store.set(nil)
		if err := note.Set(ctx, "z"); !errors.Is(err, session.ErrNoLeader) {
			t.Errorf("Set said %v", err)
		}
	})
	if resp.StatusCode != 503 {
		t.Errorf("status %d", resp.StatusCode)
	}
	call(t, m, r, wantNote("x"))
}

// A change behind the header waits until every node has it, and then every node shows it; or it says ErrLate.
func TestLateChangeIsReadElsewhere(t *testing.T) {
	inc := func(n int, _ bool) (int, error) { return n + 1, nil }
	ops := map[string]struct {
		change func(ctx context.Context) error
		done   func(ctx context.Context) bool
	}{
		"set": {setNote("late"), func(ctx context.Context) bool { return note.Or(ctx, "") == "late" }},
		"update": {func(ctx context.Context) error { _, err := count.Update(ctx, inc); return err },
			func(ctx context.Context) bool { return count.Or(ctx, 0) == 1 }},
		"take": {func(ctx context.Context) error { _, _, err := note.Take(ctx); return err },
			func(ctx context.Context) bool { _, ok := note.Get(ctx); return !ok }},
		"save": {func(ctx context.Context) error { note.Delete(ctx); return session.From(ctx).Save(ctx) },
			func(ctx context.Context) bool { _, ok := note.Get(ctx); return !ok }},
	}
	for name, op := range ops {
		for _, lag := range []string{"none", "some", "cut off"} {
			t.Run(name+"/"+lag, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					l, ms := nodes(t, 2)
					r := newRequest()
					call(t, ms[0], r, setNote("x"))
					call(t, ms[1], r, wantNote("x"))
					l.set(func() {
						l.nodes[1].held = lag == "cut off"
						if lag == "some" {
							l.nodes[1].lag = 200 * time.Millisecond
						}
					})
					within(ms[0], r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
						io.WriteString(w, "the header is out")
						began := time.Now()
						err := op.change(ctx)
						if cut := lag == "cut off"; errors.Is(err, session.ErrLate) != cut || !cut && err != nil {
							t.Errorf("the change said %v", err)
						}
						if waited := time.Since(began); waited > 2*time.Second {
							t.Errorf("it took %v", waited)
						}
						if !op.done(ctx) {
							t.Error("the request does not see its own change")
						}
					})
					if lag != "cut off" {
						call(t, ms[1], r.Clone(t.Context()), func(ctx context.Context) error {
							if !op.done(ctx) {
								t.Error("nil, and the other node answers without the change")
							}
							return nil
						})
					}
					call(t, ms[0], r.Clone(t.Context()), func(ctx context.Context) error {
						if !op.done(ctx) {
							t.Error("the change has not been made")
						}
						return nil
					})
				})
			})
		}
	}
}

// What Update and Take return comes with ErrLate too: it has been done.
func TestErrLateComesWithTheResult(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 2)
		r := newRequest()
		call(t, ms[0], r, setNote("x"))
		l.set(func() { l.nodes[1].held = true })
		within(ms[0], r, func(ctx context.Context, w http.ResponseWriter) {
			io.WriteString(w, "the header is out")
			n, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil })
			if n != 1 || !errors.Is(err, session.ErrLate) {
				t.Errorf("Update: %d, %v", n, err)
			}
			if v, ok, err := note.Take(ctx); v != "x" || !ok || !errors.Is(err, session.ErrLate) {
				t.Errorf("Take: %q, %v, %v", v, ok, err)
			}
		})
	})
}
