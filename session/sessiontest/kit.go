// Package sessiontest helps to test what uses sessions, and what stores them.
//
// New and Request are for handlers: a Manager without disk or network, and requests that come with a session. TestStore
// is for implementations of session.Store.
package sessiontest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed48eb2e21/webfarm/session"
)

// New returns a Manager whose sessions are kept in memory, over plain HTTP. It is closed when the test ends. Within a
// testing/synctest bubble its sessions live by the bubble's time.
func New(t testing.TB) *session.Manager {
	t.Helper()
	m, err := session.New(session.NewMemory(), session.Config{Cookie: session.Cookie{Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// Request gives r a session, if it has none yet, that holds what fill sets, and returns r. To look at a session that a
// handler has filled, use it once more: fill can read as well.
//
//	r := sessiontest.Request(t, m, httptest.NewRequest("GET", "/cart", nil), func(ctx context.Context) error {
//		return cart.Set(ctx, Cart{Items: []string{"book"}})
//	})
func Request(t testing.TB, m *session.Manager, r *http.Request, fill func(ctx context.Context) error) *http.Request {
	t.Helper()
	var err error
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { err = fill(r.Context()) }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.Clone(r.Context()))
	if err != nil {
		t.Fatalf("sessiontest: filling the session: %v", err)
	}
	if w.Code != http.StatusOK {
		t.Fatalf("sessiontest: filling the session: status %d: %s", w.Code, w.Body)
	}
	Carry(r, w.Result())
	return r
}

// Carry gives r the cookies that a response set, as a browser would: after one request, for the next.
func Carry(r *http.Request, from *http.Response) {
	kept := map[string]string{}
	var order []string
	put := func(c *http.Cookie) {
		if _, ok := kept[c.Name]; !ok {
			order = append(order, c.Name)
		}
		kept[c.Name] = c.Value
		if c.MaxAge < 0 {
			kept[c.Name] = ""
		}
	}
	for _, c := range r.Cookies() {
		put(c)
	}
	for _, c := range from.Cookies() {
		put(c)
	}
	r.Header.Del("Cookie")
	for _, name := range order {
		if kept[name] != "" {
			r.AddCookie(&http.Cookie{Name: name, Value: kept[name]})
		}
	}
}
