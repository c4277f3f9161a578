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
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/session"
)

// stream is a request that lasts until the test lets go of it.
type stream struct {
	ctx  context.Context
	done <-chan struct{}
	end  func() // lets the handler return, and waits for it
}

// open begins a stream of r's client. first runs before it asks for Done.
func open(t testing.TB, m *session.Manager, r *http.Request, first func(context.Context)) *stream {
	t.Helper()
	s := &stream{}
	begun, leave, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(over)
		within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
			if first != nil {
				first(ctx)
			}
			s.ctx, s.done = ctx, session.From(ctx).Done()
			close(begun)
			<-leave
		})
	})
	select {
	case <-begun:
	case <-over:
		t.Fatal("the request was refused")
	}
	s.end = sync.OnceFunc(func() { close(leave); wg.Wait() })
	t.Cleanup(s.end)
	return s
}

func (s *stream) wantsOpen(t testing.TB, when string) {
	t.Helper()
	select {
	case <-s.done:
		t.Errorf("%s: Done is closed", when)
	default:
	}
}

func (s *stream) wantsDone(t testing.TB, when string) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(time.Minute):
		ci.Latef(t, "%s: Done is not closed", when)
	}
}

func destroy(ctx context.Context) error { return session.From(ctx).Destroy(ctx) }
func renew(ctx context.Context) error   { return session.From(ctx).Renew(ctx) }

// However a session ends, and wherever, its streams on all nodes are told, and those of others are not.
func TestDone_OnEveryNode(t *testing.T) {
	for name, end := range map[string]func(context.Context) error{"Destroy": destroy, "Renew": renew} {
		t.Run(name, func(t *testing.T) {
			l, ms := nodes(t, 3)
			r, other := newRequest(), newRequest()
			call(t, ms[0], r, setNote("mine"))
			call(t, ms[0], other, setNote("other"))
			l.set(func() { l.nodes[2].lag = 5 * time.Millisecond })
			var mine, others []*stream
			for _, m := range ms {
				mine = append(mine, open(t, m, r, nil), open(t, m, r, nil))
				others = append(others, open(t, m, other, nil))
			}
			call(t, ms[1], r, setNote("changed"))
			for _, s := range mine {
				s.wantsOpen(t, "before the end")
			}
			call(t, ms[0], r, end)
			for _, s := range mine {
				s.wantsDone(t, "after the end")
			}
			for _, s := range others {
				s.wantsOpen(t, "another session")
			}
			after := open(t, ms[0], r, nil)
			if name == "Renew" {
				after.wantsOpen(t, "with the new token")
				call(t, ms[1], r, destroy)
				after.wantsDone(t, "after the logout")
			} else if after.done != nil {
				t.Error("a request without a session has a Done")
			}
		})
	}
}

// A session ends by time for its streams too: they are no use of it.
func TestDone_ByTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, ms := nodes(t, 2)
		r := newRequest()
		call(t, ms[0], r, setNote("x"))
		s := open(t, ms[1], r, nil)
		time.Sleep(29 * time.Minute)
		call(t, ms[0], r, wantNote("x"))
		time.Sleep(29 * time.Minute)
		synctest.Wait()
		s.wantsOpen(t, "within the idle time")
		time.Sleep(2*time.Minute + 16*time.Second)
		synctest.Wait()
		s.wantsDone(t, "after it")
		s.end()
	})
}

// The request that renews its session goes on, and the end of the renewed session is its end.
func TestDone_OfTheRequestThatRenews(t *testing.T) {
	_, ms := nodes(t, 2)
	r := newRequest()
	call(t, ms[0], r, setNote("x"))
	var next *http.Request
	resp := within(ms[0], r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
		s := &stream{done: session.From(ctx).Done()}
		if err := renew(ctx); err != nil {
			t.Error(err)
		}
		s.wantsOpen(t, "after a renewal of its own")
		if session.From(ctx).Done() != s.done {
			t.Error("another channel after Renew")
		}
		http.NewResponseController(w).Flush()
		next = newRequest()
		for _, c := range (&http.Response{Header: w.Header()}).Cookies() {
			next.AddCookie(c)
		}
		call(t, ms[1], next, destroy)
		s.wantsDone(t, "after the end of the renewed session")
		io.WriteString(w, "bye")
	})
	if resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

// A Renew that fails leaves a request its Done.
func TestDone_AfterAFailedRenew(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	r := newRequest()
	call(t, m, r, setNote("x"))
	s := open(t, m, r, nil)
	store.set(func(session.Command) error { return session.ErrNoLeader })
	if err := renew(s.ctx); !errors.Is(err, session.ErrNoLeader) {
		t.Error(err)
	}
	store.set(nil)
	s.wantsOpen(t, "after a Renew that failed")
	call(t, m, r, destroy)
	s.wantsDone(t, "after the end")
}

// The request that ends its session is told too; what it begins afterwards is another session.
func TestDone_OfTheRequestThatDestroys(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := newRequest()
	call(t, m, r, setNote("x"))
	call(t, m, r, func(ctx context.Context) error {
		s := &stream{done: session.From(ctx).Done()}
		if err := destroy(ctx); err != nil {
			return err
		}
		s.wantsDone(t, "after its own Destroy")
		if session.From(ctx).Done() != nil {
			t.Error("Done without a session")
		}
		note.Set(ctx, "bye")
		if err := session.From(ctx).Save(ctx); err != nil {
			return err
		}
		s = &stream{done: session.From(ctx).Done()}
		s.wantsOpen(t, "the new session")
		return destroy(ctx)
	})
}

// Where there is no session nobody is told; a session that the request creates has a Done.
func TestDone_WithoutASession(t *testing.T) {
	m := newManager(t, session.NewMemory())
	session.AfterDone(t.Context(), func() { t.Error("called without a Handler") })()
	call(t, m, newRequest(), func(ctx context.Context) error {
		session.AfterDone(ctx, func() { t.Error("called without a session") })()
		if session.From(ctx).Done() != nil {
			t.Error("Done without a session")
		}
		note.Set(ctx, "x")
		if err := session.From(ctx).Save(ctx); err != nil {
			return err
		}
		if session.From(ctx).Done() == nil {
			t.Error("no Done of a new session")
		}
		return nil
	})
}

// AfterDone calls its function once the session has ended, unless it was stopped, also if that was before.
func TestAfterDone(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := newRequest()
	call(t, m, r, setNote("x"))
	called := make(chan string, 9)
	s := open(t, m, r, func(ctx context.Context) {
		session.AfterDone(ctx, func() { called <- "after" })
		if !session.AfterDone(ctx, func() { called <- "stopped" })() {
			t.Error("it could not be stopped")
		}
	})
	call(t, m, r, destroy)
	if _, err := note.Update(s.ctx, func(string, bool) (string, error) { return "", nil }); !errors.Is(err, session.ErrEnded) {
		t.Error(err)
	}
	session.AfterDone(s.ctx, func() { called <- "after" })
	for range 2 {
		if got := <-called; got != "after" {
			t.Error(got)
		}
	}
	if len(called) > 0 {
		t.Error(<-called)
	}
}

// A node that is behind learns of the end by its own change that is refused, before its copy does.
func TestDone_ByARefusal(t *testing.T) {
	l, ms, r := lagging(t)
	s := open(t, ms[1], r, nil)
	call(t, ms[0], r, destroy)
	s.wantsOpen(t, "on a node that does not follow")
	released := make(chan struct{})
	go func() {
		defer close(released)
		note.Set(s.ctx, "late")
		session.From(s.ctx).Save(s.ctx)
	}()
	l.set(func() { l.nodes[1].held = false })
	<-released
	s.wantsDone(t, "after a refusal")
}

// A copy that is replaced is watched like the first; one whose history lacks the session ends it.
func TestDone_AcrossCopies(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		here := &history{skewed: &skewed{machine: session.NewMachine()}}
		here.become("one")
		here.copy.Store(here.machine)
		m := newManager(t, session.NewReplicated(here, here.copy.Load, func() string { return "one" }))
		r, other := newRequest(), newRequest()
		call(t, m, r, setNote("x"))
		call(t, m, other, setNote("y"))
		s, gone := open(t, m, r, nil), open(t, m, other, nil)
		next := session.NewMachine()
		next.Apply(1, time.Now(), session.Create{Key: session.StoreKeyOf(cookieOf(t, r, "sid")),
			Idle: time.Hour, Absolute: time.Hour}.Append(nil))
		here.copy.Store(next)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.wantsOpen(t, "in the new copy")
		gone.wantsOpen(t, "before the new copy has come so far")
		here.mu.Lock()
		here.machine = next
		here.mu.Unlock()
		here.Propose(t.Context(), session.Tick{}.Append(nil))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		gone.wantsDone(t, "in a copy without the session")
		call(t, m, r, destroy)
		synctest.Wait()
		s.wantsDone(t, "by the new copy")
		s.end()
		gone.end()
	})
}
