package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// stopped is a store that holds up commands: before they are carried out, or afterwards, before the answer.
type stopped struct {
	session.Store
	before, after func(session.Command)
}

func (s *stopped) Do(ctx context.Context, cmd session.Command) (session.Answer, error) {
	if s.before != nil {
		s.before(cmd)
	}
	a, err := s.Store.Do(ctx, cmd)
	if s.after != nil {
		s.after(cmd)
	}
	return a, err
}

// gate holds up the first command for which it is asked, until it is opened.
type gate struct {
	used   atomic.Bool
	closed chan struct{}
}

func newGate() *gate { return &gate{closed: make(chan struct{})} }

func (g *gate) hold() {
	if g.used.CompareAndSwap(false, true) {
		<-g.closed
	}
}
func (g *gate) open() { close(g.closed) }
func holdWrites(g *gate) func(session.Command) {
	return func(cmd session.Command) {
		if _, ok := cmd.(session.Write); ok {
			g.hold()
		}
	}
}

// inRequest gives r a session with a note, and runs f in a request of it, in a bubble.
func inRequest(t *testing.T, store session.Store, f func(ctx context.Context)) (m *session.Manager, r *http.Request) {
	t.Helper()
	m = newManager(t, store)
	r = sessiontest.Request(t, m, newRequest(), setNote("x"))
	within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) { f(ctx) })
	return m, r
}

// While a value is on its way to the store, others may take it already: then this request does not get it too. What is deleted
// meanwhile stays deleted.
func TestChangeInFlight(t *testing.T) {
	for _, late := range []string{"on the way there", "on the way back"} {
		for _, op := range []string{"take", "delete", "other request takes", "set"} {
			t.Run(late+"/"+op, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					store, g := &stopped{Store: session.NewMemory()}, newGate()
					m := newManager(t, store)
					r := sessiontest.Request(t, m, newRequest(), setNote("x"))
					if late == "on the way there" {
						store.before = holdWrites(g)
					} else {
						store.after = holdWrites(g)
					}
					winners := 0
					take := func(ctx context.Context) {
						if v, ok, err := flash.Take(ctx); err != nil || ok && v != "once" {
							t.Errorf("took %q, %v", v, err)
						} else if ok {
							winners++
						}
					}
					within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
						flash.Set(ctx, "once")
						var wg sync.WaitGroup
						wg.Go(func() {
							if err := session.From(ctx).Save(ctx); err != nil {
								t.Error(err)
							}
						})
						synctest.Wait()
						switch op {
						case "take":
							wg.Go(func() { take(ctx) })
						case "delete":
							flash.Delete(ctx)
						case "set":
							flash.Set(ctx, "again")
						case "other request takes":
							within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) { take(ctx) })
							wg.Go(func() { take(ctx) })
						}
						synctest.Wait()
						g.open()
						wg.Wait()
						if v, ok := flash.Get(ctx); ok != (op == "set") || ok && v != "again" {
							t.Errorf("the request reads %q, %v", v, ok)
						}
					})
					within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
						v, ok := flash.Get(ctx)
						if left := op == "set"; ok != left || left && v != "again" {
							t.Errorf("the next request reads %q, %v", v, ok)
						}
					})
					if want := map[string]int{"take": 1, "other request takes": 1}[op]; winners != want {
						t.Errorf("%d took the value, want %d", winners, want)
					}
				})
			})
		}
	}
}

// lost is a store of which the answer to one command of a kind is lost; it may have been carried out.
func lost(applied bool, kind string) *faulty {
	store := &faulty{Store: session.NewMemory()}
	done := false
	store.fail = func(cmd session.Command) error {
		if done || fmt.Sprintf("%T", cmd) != "state."+kind {
			return nil
		}
		done = true
		if applied {
			store.Store.Do(context.Background(), cmd)
		}
		return session.ErrUncertain
	}
	return store
}

// What may be in the store is not absent: a Delete of it is sent, and a Take asks for it.
func TestChangeUncertain(t *testing.T) {
	save := func(ctx context.Context) error {
		flash.Set(ctx, "boo")
		return session.From(ctx).Save(ctx)
	}
	update := func(ctx context.Context) error {
		_, err := flash.Update(ctx, func(string, bool) (string, error) { return "boo", nil })
		return err
	}
	discarded := func(ctx context.Context) error {
		err := save(ctx)
		session.From(ctx).Discard()
		return err
	}
	for _, c := range []struct {
		name, kind string
		put        func(ctx context.Context) error
	}{{"saved", "Write", save}, {"updated", "CAS", update}, {"discarded", "Write", discarded}} {
		for _, applied := range []bool{true, false} {
			t.Run(fmt.Sprint(c.name, " ", applied), func(t *testing.T) {
				m, r := inRequest(t, lost(applied, c.kind), func(ctx context.Context) {
					if err := c.put(ctx); !errors.Is(err, session.ErrUncertain) {
						t.Fatal(err)
					}
					flash.Delete(ctx)
				})
				within(m, r, func(ctx context.Context, w http.ResponseWriter) {
					if v, ok := flash.Get(ctx); ok {
						t.Errorf("deleted, and the next request reads %q", v)
					}
				})
				m, r = inRequest(t, lost(applied, c.kind), func(ctx context.Context) {
					c.put(ctx)
					v, ok, err := flash.Take(ctx)
					if ok != applied || ok && v != "boo" {
						t.Errorf("took %q, %v, %v; it was stored: %v", v, ok, err, applied)
					}
					if unknown := !applied && c.name == "saved"; errors.Is(err, session.ErrUncertain) != unknown {
						t.Errorf("took %q, %v: %v", v, ok, err)
					}
				})
				within(m, r, func(ctx context.Context, w http.ResponseWriter) {
					if v, ok := flash.Get(ctx); ok {
						t.Errorf("taken, and the next request reads %q", v)
					}
				})
			})
		}
	}
}

// A Take whose answer is lost may have taken the value: a Delete of it is sent, and another Take asks.
func TestTakeUncertain(t *testing.T) {
	for _, applied := range []bool{true, false} {
		store := lost(applied, "Take")
		m := newManager(t, store)
		r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return flash.Set(ctx, "boo") })
		within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
			if _, ok, err := flash.Take(ctx); ok || !errors.Is(err, session.ErrUncertain) {
				t.Fatal(ok, err)
			}
			if v, ok, err := flash.Take(ctx); err != nil || ok == applied {
				t.Errorf("took %q, %v, %v; it had been taken: %v", v, ok, err, applied)
			}
		})
		within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			if _, ok := flash.Get(ctx); ok {
				t.Error("still there")
			}
		})
	}
}

// What a request has read, it does not read an older value of: whichever answer comes first, and whatever fails later.
func TestReadsDoNotGoBack(t *testing.T) {
	inc := func(n int, _ bool) (int, error) { return n + 1, nil }
	t.Run("answers overtake each other", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			g := newGate()
			store := &stopped{Store: session.NewMemory(), after: func(cmd session.Command) {
				if _, ok := cmd.(session.CAS); ok {
					g.hold()
				}
			}}
			inRequest(t, store, func(ctx context.Context) {
				var wg sync.WaitGroup
				wg.Go(func() { count.Update(ctx, inc) })
				synctest.Wait()
				if n, err := count.Update(ctx, inc); n != 2 || err != nil {
					t.Errorf("the second Update: %d, %v", n, err)
				}
				g.open()
				wg.Wait()
				if n := count.Or(ctx, -1); n != 2 {
					t.Errorf("after both, the request reads %d", n)
				}
			})
		})
	})
	t.Run("a later change fails", func(t *testing.T) {
		store := &faulty{Store: session.NewMemory()}
		inRequest(t, store, func(ctx context.Context) {
			note.Set(ctx, "saved")
			session.From(ctx).Save(ctx)
			store.set(func(session.Command) error { return session.ErrTooLarge })
			note.Set(ctx, "too large")
			if err := session.From(ctx).Save(ctx); !errors.Is(err, session.ErrTooLarge) {
				t.Fatal(err)
			}
			if v := note.Or(ctx, "absent"); v != "saved" {
				t.Errorf("the request reads %q", v)
			}
		})
	})
	t.Run("an Update that saw more gives up", func(t *testing.T) {
		m := newManager(t, session.NewMemory())
		r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 1) })
		within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
			count.Get(ctx)
			call(t, m, r.Clone(t.Context()), func(ctx context.Context) error { return count.Set(ctx, 7) })
			count.Update(ctx, func(n int, _ bool) (int, error) {
				if n == 7 {
					return 0, errors.New("enough")
				}
				return n + 1, nil
			})
			if n := count.Or(ctx, -1); n != 7 {
				t.Errorf("after f was given 7, the request reads %d", n)
			}
		})
	})
}

// An Update of a value that is being saved at the same time is not overwritten by it.
func TestUpdateDuringSave(t *testing.T) {
	for _, late := range []string{"on the way there", "on the way back"} {
		bubble.Test(t, func(t *testing.T) {
			store, g := &stopped{Store: session.NewMemory()}, newGate()
			if late == "on the way there" {
				store.before = holdWrites(g)
			} else {
				store.after = holdWrites(g)
			}
			m, r := inRequest(t, store, func(ctx context.Context) {
				count.Set(ctx, 5)
				var wg sync.WaitGroup
				wg.Go(func() { session.From(ctx).Save(ctx) })
				synctest.Wait()
				wg.Go(func() {
					n, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil })
					if n != 6 || err != nil {
						t.Errorf("%s: Update: %d, %v", late, n, err)
					}
				})
				synctest.Wait()
				g.open()
				wg.Wait()
			})
			call(t, m, r, func(ctx context.Context) error {
				if n := count.Or(ctx, -1); n != 6 {
					t.Errorf("%s: the next request reads %d, want 6", late, n)
				}
				return nil
			})
		})
	}
}

// Who waits for a change of the same request that is on its way waits no longer than its context.
func TestWaitingForOneselfEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		store, g := &stopped{Store: session.NewMemory()}, newGate()
		store.before = holdWrites(g)
		inRequest(t, store, func(ctx context.Context) {
			flash.Set(ctx, "once")
			var wg sync.WaitGroup
			wg.Go(func() { session.From(ctx).Save(ctx) })
			synctest.Wait()
			gone, cancel := context.WithCancel(ctx)
			cancel()
			_, _, err := flash.Take(gone)
			if err2 := session.From(ctx).Save(gone); !errors.Is(err, context.Canceled) || !errors.Is(err2, context.Canceled) {
				t.Errorf("Take: %v; Save: %v", err, err2)
			}
			g.open()
			wg.Wait()
			if v, ok, err := flash.Take(ctx); v != "once" || !ok || err != nil {
				t.Errorf("Take: %q, %v, %v", v, ok, err)
			}
		})
	})
}

// A deletion alone makes no session, also if the value was on its way when it was deleted.
func TestDeletionMakesNoSession(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		g := newGate()
		store := &faulty{Store: session.NewMemory()}
		store.fail = func(session.Command) error { g.hold(); return session.ErrUncertain }
		m := newManager(t, store)
		resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
			flash.Set(ctx, "x")
			var wg sync.WaitGroup
			wg.Go(func() { session.From(ctx).Save(ctx) })
			synctest.Wait()
			flash.Delete(ctx)
			g.open()
			wg.Wait()
			store.set(nil)
		})
		if resp.StatusCode != 200 || setsCookie(resp.Header, "sid") || store.Status().Sessions != 0 {
			t.Errorf("status %d, %d sessions, %v", resp.StatusCode, store.Status().Sessions, resp.Header)
		}
	})
}

// Of a session that has ended no cookie goes out: neither if a change tells that it has, nor if the node knows when it writes
// the header.
func TestNoCookieOfAnEndedSession(t *testing.T) {
	for _, told := range []bool{true, false} {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store)
		resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
			note.Set(ctx, "x")
			if err := session.From(ctx).Save(ctx); err != nil {
				t.Fatal(err)
			}
			created := store.seen()[0].(session.Create)
			store.Do(ctx, session.Destroy{Key: created.Key}) // by an operator
			if told {
				note.Set(ctx, "y")
				if err := session.From(ctx).Save(ctx); !errors.Is(err, session.ErrEnded) {
					t.Errorf("Save: %v", err)
				}
			}
		})
		if lines := resp.Header["Set-Cookie"]; len(lines) > 0 {
			t.Errorf("told %v: %s", told, strings.Join(lines, "\n"))
		}
	}
}
