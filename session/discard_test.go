package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

func TestDiscard(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { count.Set(ctx, 1); return note.Set(ctx, "before") })
	within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
		s := session.From(ctx)
		s.Discard() // of nothing
		flash.Set(ctx, "saved")
		if err := s.Save(ctx); err != nil {
			t.Error(err)
		}
		note.Set(ctx, "half")
		flash.Set(ctx, "half")
		count.Delete(ctx)
		s.Discard()
		if note.Or(ctx, "") != "before" || flash.Or(ctx, "") != "saved" || count.Or(ctx, 0) != 1 {
			t.Errorf("after Discard the request reads %q, %q, %d", note.Or(ctx, ""), flash.Or(ctx, ""), count.Or(ctx, 0))
		}
		count.Set(ctx, 2)
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if note.Or(ctx, "") != "before" || flash.Or(ctx, "") != "saved" || count.Or(ctx, 0) != 2 {
			t.Errorf("the next request reads %q, %q, %d", note.Or(ctx, ""), flash.Or(ctx, ""), count.Or(ctx, 0))
		}
	})
}

// Without a session there is none after a Discard either, and no cookie.
func TestDiscardMakesNoSession(t *testing.T) {
	store := session.NewMemory()
	m := newManager(t, store)
	resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		note.Set(ctx, "half")
		session.From(ctx).Discard()
		w.WriteHeader(500)
	})
	if setsCookie(resp.Header, "sid") || store.Status().Sessions != 0 {
		t.Errorf("%d sessions, %v", store.Status().Sessions, resp.Header)
	}
}

// A middleware inside Handler that makes a page of a panic discards what the handler had set until then.
func ExampleSession_Discard() {
	theme := session.NewKey[string]("theme")
	m, err := session.New(session.NewMemory(), session.Config{Cookie: session.Cookie{Insecure: true}})
	if err != nil {
		panic(err)
	}
	defer m.Close()
	broken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		theme.Set(r.Context(), "dark")
		panic("half-way")
	})
	recovering := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				session.From(r.Context()).Discard()
				http.Error(w, "something went wrong", http.StatusInternalServerError)
			}
		}()
		broken.ServeHTTP(w, r)
	})
	w := httptest.NewRecorder()
	m.Handler(recovering).ServeHTTP(w, httptest.NewRequest("POST", "/theme", nil))
	fmt.Println(w.Code, len(w.Result().Cookies()), "cookies")
	// Output: 500 0 cookies
}
