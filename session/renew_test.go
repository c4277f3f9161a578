package session_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

var user = session.NewKey[string]("user")

// login is what a handler does.
func login(ctx context.Context, name string) error {
	if err := user.Set(ctx, name); err != nil {
		return err
	}
	return session.From(ctx).Renew(ctx)
}

// cookieIn returns the value of a cookie that a response sets; "" if it sets none.
func cookieIn(resp *http.Response, name string) string {
	for _, c := range resp.Cookies() {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Whoever knew the token before the login is left with nothing, on any node and at once; the visitor keeps what the session
// held. It is one command.
func TestRenew(t *testing.T) {
	l := newTestLog(t, 3)
	var nodes []*session.Manager
	for _, n := range l.nodes {
		nodes = append(nodes, newManager(t, n.store()))
	}
	r := sessiontest.Request(t, nodes[0], newRequest(), setNote("in the cart"))
	planted := r.Clone(t.Context())
	before := l.count()
	resp := within(nodes[0], r, func(ctx context.Context, w http.ResponseWriter) {
		id := session.From(ctx).ID()
		if err := login(ctx, "ann"); err != nil {
			t.Error(err)
		}
		if s := session.From(ctx); !s.Exists() || s.ID() == id || note.Or(ctx, "") != "in the cart" || user.Or(ctx, "") != "ann" {
			t.Errorf("exists %v, note %q, user %q", s.Exists(), note.Or(ctx, ""), user.Or(ctx, ""))
		}
	})
	if n := l.count() - before; n != 1 {
		t.Errorf("%d commands", n)
	}
	if old := planted.Header.Get("Cookie"); cookieIn(resp, "sid") == "" || strings.Contains(old, cookieIn(resp, "sid")) {
		t.Errorf("cookies %q", resp.Header["Set-Cookie"])
	}
	sessiontest.Carry(r, resp)
	eventually(t, "all nodes have come that far", func() bool {
		return l.nodes[1].Applied() == uint64(l.count()) && l.nodes[2].Applied() == uint64(l.count())
	})
	for i, m := range nodes {
		within(m, planted, func(ctx context.Context, w http.ResponseWriter) {
			if session.From(ctx).Exists() || user.Or(ctx, "nobody") != "nobody" {
				t.Errorf("node %d: the old token still opens the session", i)
			}
		})
		within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			if user.Or(ctx, "") != "ann" || note.Or(ctx, "") != "in the cart" {
				t.Errorf("node %d: user %q, note %q", i, user.Or(ctx, ""), note.Or(ctx, ""))
			}
		})
	}
}

// A request that is on its way with the old token learns nothing of the new one, and changes nothing.
func TestRenewBesideOthers(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), setNote("x"))
	resp := within(m, r.Clone(t.Context()), func(slow context.Context, w http.ResponseWriter) {
		note.Set(slow, "late")
		resp := within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
			if err := login(ctx, "ann"); err != nil {
				t.Error(err)
			}
		})
		sessiontest.Carry(r, resp)
		if note.Or(slow, "") != "late" {
			t.Error("the slow request does not see what it did")
		}
	})
	if resp.Header["Set-Cookie"] != nil || resp.StatusCode != 200 {
		t.Errorf("%d, cookies %q", resp.StatusCode, resp.Header["Set-Cookie"])
	}
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if user.Or(ctx, "") != "ann" || note.Or(ctx, "") != "x" {
			t.Errorf("user %q, note %q", user.Or(ctx, ""), note.Or(ctx, ""))
		}
	})
}

// An Update and a Take of the very request that renews the session are not lost to the old key.
func TestRenewBesideOwnChanges(t *testing.T) {
	for _, op := range []string{"update", "take"} {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store)
		r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error {
			return errors.Join(count.Set(ctx, 1), flash.Set(ctx, "f"))
		})
		under, renewed := make(chan struct{}), make(chan struct{})
		var once sync.Once
		store.set(func(cmd session.Command) error {
			switch cmd.(type) {
			case session.CAS, session.Take:
				once.Do(func() {
					close(under)
					<-renewed
				})
			}
			return nil
		})
		resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			var wg sync.WaitGroup
			wg.Go(func() {
				if op == "take" {
					if v, ok, err := flash.Take(ctx); v != "f" || !ok || err != nil {
						t.Errorf("take: %q, %v, %v", v, ok, err)
					}
				} else if n, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil }); n != 2 || err != nil {
					t.Errorf("update: %d, %v", n, err)
				}
			})
			<-under
			if err := session.From(ctx).Renew(ctx); err != nil {
				t.Error(err)
			}
			close(renewed)
			wg.Wait()
		})
		sessiontest.Carry(r, resp)
		within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			n, _ := count.Get(ctx)
			if _, ok := flash.Get(ctx); op == "take" && ok || op == "update" && n != 2 {
				t.Errorf("%s: count %d, flash still there %v", op, n, ok)
			}
		})
	}
}

func TestRenewWhereThereIsNothingToRenew(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		if err := session.From(ctx).Renew(ctx); err != nil || session.From(ctx).Exists() {
			t.Errorf("without a session: %v", err)
		}
		if err := login(ctx, "ann"); err != nil || !session.From(ctx).Exists() {
			t.Errorf("with one to be made: %v", err)
		}
		if err := login(ctx, "bob"); err != nil {
			t.Errorf("with one that nobody knows of yet: %v", err)
		}
		w.WriteHeader(200)
		if err := session.From(ctx).Renew(ctx); !errors.Is(err, session.ErrHeadersSent) {
			t.Errorf("after the header: %v", err)
		}
	})
	if n := len(resp.Header["Set-Cookie"]); n != 1 || len(store.seen()) != 2 {
		t.Errorf("%d cookies, commands %v", n, store.seen())
	}
	r := newRequest()
	sessiontest.Carry(r, resp)
	store.set(func(session.Command) error { return session.ErrNoLeader })
	resp = within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if err := session.From(ctx).Renew(ctx); !errors.Is(err, session.ErrNoLeader) {
			t.Errorf("without a leader: %v", err)
		}
	})
	if resp.Header["Set-Cookie"] != nil {
		t.Errorf("cookies %q after a failure", resp.Header["Set-Cookie"])
	}
}

// A login whose answer got lost is found to have been done, if it was.
func TestRenewUncertain(t *testing.T) {
	for _, done := range []bool{true, false} {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store)
		r := sessiontest.Request(t, m, newRequest(), setNote("x"))
		store.set(func(cmd session.Command) error {
			if _, ok := cmd.(session.Renew); !ok {
				return nil
			}
			if done {
				if _, err := store.Store.Do(context.Background(), cmd); err != nil {
					t.Error(err)
				}
			}
			return session.ErrUncertain
		})
		resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			if err := login(ctx, "ann"); done != (err == nil) || err != nil && !errors.Is(err, session.ErrUncertain) {
				t.Errorf("done %v: %v", done, err)
			}
			if _, err := user.Update(ctx, func(s string, _ bool) (string, error) { return s + "e", nil }); err != nil {
				t.Errorf("done %v: update: %v", done, err)
			}
		})
		if set := cookieIn(resp, "sid") != ""; set != done {
			t.Errorf("done %v: cookies %q", done, resp.Header["Set-Cookie"])
		}
		sessiontest.Carry(r, resp)
		within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			if user.Or(ctx, "") != "anne" || note.Or(ctx, "") != "x" {
				t.Errorf("done %v: user %q, note %q", done, user.Or(ctx, ""), note.Or(ctx, ""))
			}
		})
	}
}

// lower is a store whose farm works at a lower level: commands that need a higher one must not reach it.
type lower struct {
	session.Store
	t *testing.T
}

func (l lower) Status() session.Status {
	st := l.Store.Status()
	st.Level = 2
	return st
}

func (l lower) Do(ctx context.Context, cmd session.Command) (session.Answer, error) {
	if session.CommandLevel(cmd.Append(nil)) > 2 {
		l.t.Errorf("%T at level 2", cmd)
	}
	return l.Store.Do(ctx, cmd)
}

// Beside nodes of an older program a login works as well.
func TestRenewAtALowerLevel(t *testing.T) {
	m := newManager(t, lower{session.NewMemory(), t})
	r := sessiontest.Request(t, m, newRequest(), setNote("x"))
	old := r.Clone(t.Context())
	sessiontest.Carry(r, within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if err := login(ctx, "ann"); err != nil {
			t.Error(err)
		}
	}))
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if user.Or(ctx, "") != "ann" || note.Or(ctx, "") != "x" {
			t.Errorf("user %q, note %q", user.Or(ctx, ""), note.Or(ctx, ""))
		}
	})
	within(m, old, func(ctx context.Context, w http.ResponseWriter) {
		if session.From(ctx).Exists() {
			t.Error("the old token still opens a session")
		}
	})
}

// What is set after Destroy begins a new session: no visitor keeps the old token, and the message of a logout arrives.
func TestSetAfterDestroy(t *testing.T) {
	for _, how := range []string{"response", "save", "update", "twice"} {
		m := newManager(t, session.NewMemory())
		r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error {
			return errors.Join(user.Set(ctx, "ann"), note.Set(ctx, "secret"))
		})
		old := r.Clone(t.Context())
		resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			s := session.From(ctx)
			user.Set(ctx, "dropped")
			for range 2 {
				if err := s.Destroy(ctx); err != nil || s.Exists() || s.ID() != "" {
					t.Errorf("%s: destroy: %v, exists %v", how, err, s.Exists())
				}
			}
			if how == "update" {
				if _, err := flash.Update(ctx, func(string, bool) (string, error) { return "bye", nil }); err != nil {
					t.Error(err)
				}
			} else if err := flash.Set(ctx, "bye"); err != nil {
				t.Errorf("%s: set after destroy: %v", how, err)
			}
			if user.Or(ctx, "nobody") != "nobody" || flash.Or(ctx, "") != "bye" {
				t.Errorf("%s: user %q, flash %q", how, user.Or(ctx, "nobody"), flash.Or(ctx, ""))
			}
			switch how {
			case "save":
				if err := s.Save(ctx); err != nil {
					t.Error(err)
				}
			case "twice":
				if err := errors.Join(s.Save(ctx), s.Destroy(ctx), flash.Set(ctx, "bye")); err != nil {
					t.Error(err)
				}
			}
		})
		if token := cookieIn(resp, "sid"); token == "" || strings.Contains(old.Header.Get("Cookie"), token) || len(resp.Cookies()) != 1 {
			t.Errorf("%s: cookies %q", how, resp.Header["Set-Cookie"])
		}
		sessiontest.Carry(r, resp)
		within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			if _, ok := note.Get(ctx); ok || user.Or(ctx, "nobody") != "nobody" || flash.Or(ctx, "") != "bye" {
				t.Errorf("%s: then user %q, flash %q", how, user.Or(ctx, "nobody"), flash.Or(ctx, ""))
			}
		})
		within(m, old, func(ctx context.Context, w http.ResponseWriter) {
			if session.From(ctx).Exists() {
				t.Errorf("%s: the old token still opens a session", how)
			}
		})
	}
}
