package sessiontest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

var name = session.NewKey[string]("name")

func greet(w http.ResponseWriter, r *http.Request) {
	who := name.Or(r.Context(), "stranger")
	name.Set(r.Context(), "old friend") // first, because a new session needs the response's header
	fmt.Fprintf(w, "Hello, %s!", who)
}

// A handler is tested with a request that comes with a session, and what it left there is looked at afterwards.
func TestRequest(t *testing.T) {
	m := sessiontest.New(t)
	r := sessiontest.Request(t, m, httptest.NewRequest("GET", "/", nil), func(ctx context.Context) error {
		return name.Set(ctx, "Ada")
	})
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(greet)).ServeHTTP(w, r)
	if got := w.Body.String(); got != "Hello, Ada!" {
		t.Errorf("body %q", got)
	}
	sessiontest.Request(t, m, r, func(ctx context.Context) error {
		if got := name.Or(ctx, ""); got != "old friend" {
			t.Errorf("name %q", got)
		}
		return nil
	})
}

// A request without a session may leave with one; Carry takes it to the next.
func TestCarry(t *testing.T) {
	m := sessiontest.New(t)
	r := httptest.NewRequest("GET", "/", nil)
	for _, want := range []string{"Hello, stranger!", "Hello, old friend!"} {
		w := httptest.NewRecorder()
		m.Handler(http.HandlerFunc(greet)).ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Errorf("body %q, want %q", got, want)
		}
		sessiontest.Carry(r, w.Result())
	}
	r.AddCookie(&http.Cookie{Name: "other", Value: "kept"})
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session.From(r.Context()).Destroy(r.Context())
	})).ServeHTTP(w, r)
	sessiontest.Carry(r, w.Result())
	if got := r.Header.Get("Cookie"); got != "other=kept" {
		t.Errorf("after the session's end the request carries %q", got)
	}
}

// An implementation of session.Store runs the suite in one line.
func TestOwnStore(t *testing.T) {
	sessiontest.TestStore(t, func(t *testing.T) session.Store { return session.NewMemory() })
}
