package session_test

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/internal/state"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// blank is a ResponseWriter that costs nothing.
type blank struct{ h http.Header }

func (b *blank) Header() http.Header         { return b.h }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

// fromBrowser gives r the header fields of a browser, with two cookies more.
func fromBrowser(r *http.Request) *http.Request {
	for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Priority", "Referer",
		"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Upgrade-Insecure-Requests", "User-Agent"} {
		r.Header.Set(name, "as a browser has it")
	}
	r.Header.Set("Cookie", strings.TrimPrefix(r.Header.Get("Cookie")+"; theme=dark; lang=de", "; "))
	return r
}

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
// short runs of both by turns, so that a machine that does other things does not spoil it. Strangers are more sessions than
// a node remembers the tokens of, by turns.
func BenchmarkReadOverBare(b *testing.B) {
	replicated := func() session.Store { return (&skewed{machine: session.NewMachine()}).log() }
	for _, c := range []struct {
		name     string
		store    session.Store
		sessions int
		from     func(*http.Request) *http.Request
	}{{"memory", session.NewMemory(), 1, nil}, {"replicated", replicated(), 1, nil}, {"browser", replicated(), 1, fromBrowser},
		{"strangers", replicated(), 20_000, nil}} {
		b.Run(c.name, func(b *testing.B) {
			m := newManager(b, c.store)
			rs := make([]*http.Request, c.sessions)
			for i := range rs {
				rs[i] = sessiontest.Request(b, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 70000) })
				if c.from != nil {
					rs[i] = c.from(rs[i])
				}
			}
			bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) })
			read := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n, _ := count.Get(r.Context()); n != 70000 {
					b.Fatal(n)
				}
				w.Write(page)
			}))
			w := &blank{http.Header{}}
			serve := func(h http.Handler) func() {
				i := 0
				return func() {
					clear(w.h)
					h.ServeHTTP(w, rs[i])
					if i++; i == len(rs) {
						i = 0
					}
				}
			}
			const run = 50
			var over []float64
			for reads, bares := serve(read), serve(bare); b.Loop(); {
				over = append(over, float64(elapsed(run, reads)-elapsed(run, bares))/run)
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

// A request costs the exchange, and one with a token two allocations more for a header without it, or four where there are more than
// eight fields. A read of a scalar costs no more. A token and an index that come for the second time are remembered besides.
func TestAllocations(t *testing.T) {
	m := newManager(t, (&skewed{machine: session.NewMachine()}).log())
	with := func() *http.Request {
		return sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 70000) })
	}
	unread := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) }))
	read := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, _ := count.Get(r.Context()); n != 70000 {
			t.Fatal(n)
		}
		w.Write(page)
	}))
	const runs = 200
	strangers := make([]*http.Request, runs+1) // AllocsPerRun begins with one that does not count
	for i := range strangers {
		strangers[i] = with()
	}
	w := &blank{http.Header{}}
	for _, c := range []struct {
		name string
		h    http.Handler
		of   []*http.Request
		most float64
	}{
		{"without a token", unread, []*http.Request{newRequest()}, 1},
		{"a browser without a token", unread, []*http.Request{fromBrowser(newRequest())}, 1},
		{"a token, unread", unread, []*http.Request{with()}, 3},
		{"a read", read, []*http.Request{with()}, 3},
		{"a browser's read", read, []*http.Request{fromBrowser(with())}, 5},
		{"a first read", read, strangers, 3},
		{"a second read", read, strangers, 5},
	} {
		i := 0
		tries := c.most
		if len(c.of) > 1 { // what is read first is so only once
			tries = math.Inf(1)
		}
		got := ci.Allocs(runs, tries, func() {
			clear(w.h)
			c.h.ServeHTTP(w, c.of[i%len(c.of)])
			i++
		})
		t.Logf("%s: %v allocations", c.name, got)
		if got > c.most && !race.Enabled {
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

// BenchmarkSets is the price of one Set, by how many values the request sets and how many the session holds already.
func BenchmarkSets(b *testing.B) {
	for _, n := range []int{1, 64, 1024, 4096} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			store := session.NewMemory()
			limits := session.Limits{Value: 1 << 10, Name: 64, Keys: 4096, Session: 1 << 20, Sessions: 1 << 20}
			if _, err := store.Do(b.Context(), state.SetLimits{Limits: limits}); err != nil {
				b.Fatal(err)
			}
			m := newManager(b, store, func(c *session.Config) { c.Limits = limits })
			keys := make([]session.Key[int], n)
			for i := range keys {
				keys[i] = session.NewKey[int]("key " + strconv.Itoa(i))
			}
			setAll := func(ctx context.Context) error {
				for _, k := range keys {
					if err := k.Set(ctx, 70000); err != nil {
						return err
					}
				}
				return nil
			}
			r := sessiontest.Request(b, m, newRequest(), setAll)
			b.ReportAllocs()
			for b.Loop() {
				func() {
					defer func() { recover() }()
					within(m, r, func(ctx context.Context, w http.ResponseWriter) {
						if err := setAll(ctx); err != nil {
							b.Error(err)
						}
						panic(http.ErrAbortHandler) // which drops what is set
					})
				}()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/set")
		})
	}
}
