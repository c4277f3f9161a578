package session_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// blank is a ResponseWriter that costs nothing.
type blank struct{ h http.Header }

func (b *blank) Header() http.Header         { return b.h }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

func bench(b *testing.B, h http.Handler, r *http.Request) {
	b.ReportAllocs()
	w := &blank{http.Header{}}
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

var page = []byte("page")

// The difference between Bare and any other is what sessions cost.
func BenchmarkBare(b *testing.B) {
	bench(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) }), newRequest())
}

func BenchmarkWithoutToken(b *testing.B) {
	m := newManager(b, session.NewMemory())
	bench(b, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) })), newRequest())
}

func BenchmarkForgedToken(b *testing.B) {
	m := newManager(b, session.NewMemory())
	r := sessiontest.Request(b, newManager(b, session.NewMemory(), func(c *session.Config) { c.Keys = nil }), newRequest(),
		func(ctx context.Context) error { return count.Set(ctx, 1) })
	bench(b, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) })), r)
}

func BenchmarkTokenUnread(b *testing.B) {
	m := newManager(b, session.NewMemory())
	r := sessiontest.Request(b, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 70000) })
	bench(b, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) })), r)
}

func benchRead(b *testing.B, store session.Store) {
	m := newManager(b, store)
	r := sessiontest.Request(b, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 70000) })
	bench(b, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, _ := count.Get(r.Context()); n != 70000 {
			b.Fatal(n)
		}
		w.Write(page)
	})), r)
}

func BenchmarkRead(b *testing.B) { benchRead(b, session.NewMemory()) }
func BenchmarkReadReplicated(b *testing.B) {
	benchRead(b, (&skewed{machine: session.NewMachine()}).log())
}

// BenchmarkReadOverBare is the difference itself: what a read of a session costs beyond the handler, as the median of many
// short runs of both by turns, so that a machine that does other things does not spoil it.
func BenchmarkReadOverBare(b *testing.B) {
	for _, c := range []struct {
		name  string
		store session.Store
	}{{"memory", session.NewMemory()}, {"replicated", (&skewed{machine: session.NewMachine()}).log()}} {
		b.Run(c.name, func(b *testing.B) {
			m := newManager(b, c.store)
			r := sessiontest.Request(b, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 70000) })
			bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) })
			read := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n, _ := count.Get(r.Context()); n != 70000 {
					b.Fatal(n)
				}
				w.Write(page)
			}))
			w := &blank{http.Header{}}
			serve := func(h http.Handler) func() {
				return func() {
					clear(w.h)
					h.ServeHTTP(w, r)
				}
			}
			const run = 50
			var over []float64
			for b.Loop() {
				over = append(over, float64(elapsed(run, serve(read))-elapsed(run, serve(bare)))/run)
			}
			slices.Sort(over)
			b.ReportMetric(over[len(over)/2], "ns/read")
			b.ReportMetric(testing.AllocsPerRun(run, serve(read))-testing.AllocsPerRun(run, serve(bare)), "allocs/read")
			b.ReportMetric(0, "ns/op") // of both together: it means nothing
		})
	}
}

func elapsed(times int, f func()) time.Duration {
	start := time.Now()
	for range times {
		f()
	}
	return time.Since(start)
}

func BenchmarkReadStruct(b *testing.B) {
	m := newManager(b, session.NewMemory())
	r := sessiontest.Request(b, m, newRequest(), func(ctx context.Context) error {
		return cartKey.Set(ctx, cart{Items: []string{"book", "pen"}})
	})
	bench(b, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cartKey.Get(r.Context())
		w.Write(page)
	})), r)
}

func BenchmarkSet(b *testing.B) {
	m := newManager(b, session.NewMemory())
	r := sessiontest.Request(b, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 1) })
	bench(b, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Set(r.Context(), 2)
		w.Write(page)
	})), r)
}

func BenchmarkUpdate(b *testing.B) {
	m := newManager(b, session.NewMemory())
	r := sessiontest.Request(b, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 1) })
	bench(b, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
		w.Write(page)
	})), r)
}

// A request without a token costs the exchange and the copy of the request; a read of a scalar no more.
func TestAllocations(t *testing.T) {
	m := newManager(t, session.NewMemory())
	with := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 70000) })
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r == with {
			count.Get(r.Context())
		}
		w.Write(page)
	}))
	read := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Get(r.Context())
		w.Write(page)
	}))
	w := &blank{http.Header{}}
	for _, c := range []struct {
		name string
		h    http.Handler
		r    *http.Request
		most float64
	}{{"without a token", h, newRequest(), 2}, {"a token, unread", h, with, 2}, {"a read", read, with, 3}} {
		got := testing.AllocsPerRun(200, func() {
			clear(w.h)
			c.h.ServeHTTP(w, c.r)
		})
		t.Logf("%s: %v allocations", c.name, got)
		if got > c.most && !session.RaceEnabled {
			t.Errorf("%s: %v allocations, want %v at most", c.name, got, c.most)
		}
	}
}

// Requests of many sessions at once wait for nothing in common.
func BenchmarkReadParallel(b *testing.B) {
	m := newManager(b, (&skewed{machine: session.NewMachine()}).log())
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Get(r.Context())
		w.Write(page)
	}))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := sessiontest.Request(b, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 70000) })
		w := &blank{http.Header{}}
		for pb.Next() {
			clear(w.h)
			h.ServeHTTP(w, r)
		}
	})
}
