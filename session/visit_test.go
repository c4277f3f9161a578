package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
	"github.com/seed48eb2e21/webfarm/session"
)

// What a handler finds and a client gets is the same whether the context of a request takes the session, and has none
// until somebody asks, or not.
func TestSessionOnDemand(t *testing.T) {
	var leaked context.Context
	handlers := map[string]func(w http.ResponseWriter, r *http.Request) any{
		"nothing":   func(w http.ResponseWriter, r *http.Request) any { return nil },
		"an answer": func(w http.ResponseWriter, r *http.Request) any { fmt.Fprint(w, "text"); return nil },
		"a status":  func(w http.ResponseWriter, r *http.Request) any { w.WriteHeader(404); return nil },
		"a look":    func(w http.ResponseWriter, r *http.Request) any { return session.From(r.Context()).Exists() },
		"set":       func(w http.ResponseWriter, r *http.Request) any { return count.Set(r.Context(), 1) },
		"set and destroy": func(w http.ResponseWriter, r *http.Request) any {
			count.Set(r.Context(), 1)
			return session.From(r.Context()).Destroy(r.Context())
		},
		"set too late": func(w http.ResponseWriter, r *http.Request) any {
			fmt.Fprint(w, "text")
			err := count.Set(r.Context(), 1)
			return errors.Join(err, session.From(r.Context()).Save(r.Context()))
		},
		"set after a flush": func(w http.ResponseWriter, r *http.Request) any {
			w.(http.Flusher).Flush()
			count.Set(r.Context(), 1)
			return session.From(r.Context()).Save(r.Context())
		},
		"begun": func(w http.ResponseWriter, r *http.Request) any {
			b := w.(interface{ Begun() bool })
			before := b.Begun()
			w.WriteHeader(http.StatusEarlyHints)
			between := b.Begun()
			w.WriteHeader(200)
			return []any{before, between, b.Begun(), session.From(r.Context()).Exists(), b.Begun()}
		},
		"a panic":            func(w http.ResponseWriter, r *http.Request) any { panic("of the handler") },
		"a panic behind set": func(w http.ResponseWriter, r *http.Request) any { count.Set(r.Context(), 1); panic("of the handler") },
		"a panic behind Save": func(w http.ResponseWriter, r *http.Request) any {
			count.Set(r.Context(), 1)
			session.From(r.Context()).Save(r.Context())
			panic("of the handler")
		},
		"another handler inside": nil,
		"afterwards": func(w http.ResponseWriter, r *http.Request) any {
			leaked = r.Context()
			return nil
		},
		"afterwards, looked at": func(w http.ResponseWriter, r *http.Request) any {
			leaked = r.Context()
			return session.From(leaked).Exists()
		},
	}
	for name, h := range handlers {
		run := func(wrap func(http.Handler) http.Handler) (what string) {
			leaked = nil
			m := newManager(t, session.NewMemory())
			var found any
			inner := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Of-Handler", "yes")
				if h == nil {
					h := func(w http.ResponseWriter, r *http.Request) { found = count.Set(r.Context(), 1) }
					m.Handler(http.HandlerFunc(h)).ServeHTTP(w, r)
					return
				}
				found = h(w, r)
			}))
			rec := httptest.NewRecorder()
			rec.Header().Set("X-Request-Id", "before")
			func() {
				defer func() {
					if v := recover(); v != nil {
						what = fmt.Sprint(v, " ")
					}
				}()
				wrap(m.Handler(inner)).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
			}()
			if leaked != nil {
				err := count.Set(leaked, 1)
				found = fmt.Sprint(found, " ", err, " ", session.From(leaked).Save(leaked))
			}
			var cookies []string
			for _, line := range rec.Header()["Set-Cookie"] {
				name, _, _ := strings.Cut(line, "=")
				cookies = append(cookies, name)
			}
			rec.Header().Del("Set-Cookie")
			return what + fmt.Sprint(found, " ", rec.Code, " ", rec.Header(), " ", cookies, " ", rec.Body)
		}
		plain := run(func(h http.Handler) http.Handler { return h })
		if got := run(taking); got != plain {
			t.Errorf("%s: on demand\n%s\notherwise\n%s", name, got, plain)
		}
		t.Logf("%s: %s", name, plain)
	}
}

// A request that asks for no session costs one allocation.
func TestSessionOnDemand_Allocations(t *testing.T) {
	m := newManager(t, session.NewMemory())
	ctx := &taker{}
	r := newRequest().WithContext(ctx)
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) }))
	w := &blank{http.Header{}}
	got := ci.Allocs(100, 1, func() {
		*ctx = taker{Context: t.Context()}
		clear(w.h)
		h.ServeHTTP(w, r)
	})
	if got > 1 && !race.Enabled {
		t.Errorf("%v allocations", got)
	}
}

// Goroutines of a handler may ask for the session while another one begins the answer: what one of them was told to be
// kept, the client gets a token of.
func TestSessionOnDemand_Concurrent(t *testing.T) {
	m := newManager(t, session.NewMemory())
	kept, late := 0, 0
	for range 200 {
		var errs [3]error
		h := taking(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { errs[i] = count.Set(r.Context(), i) })
			}
			wg.Go(func() { w.WriteHeader(204) })
			wg.Wait()
		})))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		want := 0
		for _, err := range errs {
			if err == nil {
				want = 1
				kept++
			} else if !errors.Is(err, session.ErrHeadersSent) {
				t.Fatal(err)
			} else {
				late++
			}
		}
		got := 0
		for _, line := range rec.Result().Header["Set-Cookie"] {
			name, _, _ := strings.Cut(line, "=")
			if strings.HasSuffix(name, "sid") {
				got++
			}
		}
		if got != want {
			t.Fatalf("%d tokens: %v %v", got, errs, rec.Result().Header)
		}
	}
	t.Log(kept, "kept,", late, "too late")
}
