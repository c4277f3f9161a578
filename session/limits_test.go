package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/race"
	"github.com/seed48eb2e21/webfarm/session"
)

// lockedBuffer takes what several goroutines log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func withTotal(total int64) func(*session.Config) {
	return func(c *session.Config) { c.Limits.Total = total }
}

// agreed waits until limits are in force on a node.
func agreed(t *testing.T, store session.Store, total int64) {
	t.Helper()
	eventually(t, "the limits are in force", func() bool { return store.Status().Limits.Total == total })
}

func TestLimitsOfConfig(t *testing.T) {
	for _, c := range []struct {
		limits session.Limits
		want   string
	}{
		{session.Limits{}, ""},
		{session.Limits{Total: 64 << 20, Value: 32 << 10}, ""},
		{session.Limits{Total: 1000}, "Config.Limits.Total is 1000"},
		{session.Limits{Total: -1}, "Config.Limits.Total is -1"},
		{session.Limits{Keys: 5000}, "Config.Limits.Keys is 5000"},
		{session.Limits{Session: 3 << 20}, "Config.Limits.Session is"},
		{session.Limits{Sessions: -1}, "Config.Limits.Sessions is -1"},
	} {
		m, err := session.New(session.NewMemory(), session.Config{Limits: c.limits})
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.limits, err, c.want)
		}
		if err == nil {
			m.Close()
		}
	}
}

// The limits of the Config come into force for all nodes, by a command. Of nodes that were told different ones the one that
// started last decides; the other says so, and neither goes on.
func TestLimitsAreAgreedOn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newTestLog(t, 3)
		var out lockedBuffer
		logged := func(c *session.Config) { c.Logger = slog.New(slog.NewTextHandler(&out, nil)) }
		first := newManager(t, l.nodes[0].store(), withTotal(64<<20), logged)
		time.Sleep(5 * time.Second)
		if got := l.nodes[2].machine.Limits(); got.Total != 64<<20 || got.Value != 16<<10 || l.count() != 1 {
			t.Fatalf("%d commands, limits %+v", l.count(), got)
		}
		newManager(t, l.nodes[1].store(), withTotal(64<<20))
		time.Sleep(time.Minute)
		if l.count() != 1 || out.String() != "" {
			t.Errorf("%d commands though all agree; logged %s", l.count(), &out)
		}
		newManager(t, l.nodes[2].store(), func(c *session.Config) { c.Limits = session.Limits{Total: 32 << 20, Value: 20 << 10} })
		time.Sleep(10 * time.Minute)
		if got := l.nodes[0].machine.Limits(); got.Total != 32<<20 || got.Value != 20<<10 || l.count() != 2 {
			t.Errorf("%d commands, limits %+v", l.count(), got)
		}
		if n := strings.Count(out.String(), "not those of this node's Config"); n != 1 {
			t.Errorf("said %d times: %s", n, &out)
		}
		within(first, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
			if err := note.Set(ctx, strings.Repeat("x", 18<<10)); err != nil { // judged by what is in force
				t.Error(err)
			}
		})
	})
}

// Two nodes that start together with different limits come to an end as well.
func TestLimitsOfTwoAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newTestLog(t, 2)
		newManager(t, l.nodes[0].store(), withTotal(64<<20))
		newManager(t, l.nodes[1].store(), withTotal(32<<20))
		time.Sleep(time.Hour)
		if n := l.count(); n < 2 || n > 4 {
			t.Errorf("%d commands", n)
		}
		if a, b := l.nodes[0].machine.Limits(), l.nodes[1].machine.Limits(); a != b || a.Total != 64<<20 && a.Total != 32<<20 {
			t.Errorf("limits %+v and %+v", a, b)
		}
	})
}

// Beside nodes of an older program no limits are set, and each node looks after itself.
func TestLimitsAtALowerLevel(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		store := &faulty{Store: lower{session.NewMemory(), t}}
		m := newManager(t, store, withTotal(1<<20))
		time.Sleep(time.Minute)
		var rs []*http.Request
		for range 200 { // small ones first, which grow then
			r := newRequest()
			call(t, m, r, setNote("small"))
			rs = append(rs, r)
		}
		full := 0
		for _, r := range rs {
			if _, err := step(m, r, setNote(strings.Repeat("x", 8<<10))); err != nil {
				full++
			}
			if _, err := step(m, r, func(ctx context.Context) error {
				_, err := flash.Update(ctx, func(string, bool) (string, error) { return strings.Repeat("x", 1<<10), nil })
				return err
			}); err != nil && !errors.Is(err, session.ErrFull) {
				t.Error(err)
			}
			call(t, m, r, func(ctx context.Context) error { note.Delete(ctx); return session.From(ctx).Save(ctx) })
			step(m, r, setNote(strings.Repeat("x", 8<<10)))
		}
		if refused := fill(m, 200, 8<<10); refused < 200 || full < 50 || store.Status().Bytes > 1<<20 {
			t.Errorf("%d refused, %d did not grow, %d bytes", refused, full, store.Status().Bytes)
		}
	})
}

// fill makes n sessions of size bytes, as a client without cookies does, and returns how many were refused.
func fill(m *session.Manager, n, size int) (refused int) {
	for range n {
		resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
			note.Set(ctx, strings.Repeat("x", size))
		})
		if resp.StatusCode == http.StatusServiceUnavailable {
			refused++
		}
	}
	return refused
}

// A full farm refuses new sessions, says so at a bounded rate, serves those it has, and takes new ones once others have ended.
func TestFullFarm(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		store := &faulty{Store: session.NewMemory()}
		var out lockedBuffer
		m := newManager(t, store, withTotal(1<<20), func(c *session.Config) { c.Logger = slog.New(slog.NewTextHandler(&out, nil)) })
		time.Sleep(5 * time.Second)
		r := newRequest()
		call(t, m, r, func(ctx context.Context) error {
			return errors.Join(note.Set(ctx, "mine"), flash.Set(ctx, "f"), count.Set(ctx, 1))
		})
		if refused := fill(m, 300, 8<<10); refused < 150 {
			t.Errorf("%d refused", refused)
		}
		sent := len(store.seen())
		resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
			if err := note.Set(ctx, strings.Repeat("x", 8<<10)); err != nil {
				t.Error(err)
			}
			if err := session.From(ctx).Save(ctx); !errors.Is(err, session.ErrFull) {
				t.Errorf("save: %v", err)
			}
			note.Set(ctx, strings.Repeat("x", 8<<10))
			fmt.Fprint(w, "welcome")
		})
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header["Set-Cookie"] != nil {
			t.Errorf("%d, Retry-After %q, cookies %q", resp.StatusCode, resp.Header.Get("Retry-After"), resp.Header["Set-Cookie"])
		}
		if n := len(store.seen()) - sent; n != 0 {
			t.Errorf("%d commands for what is refused", n)
		}
		call(t, m, r, func(ctx context.Context) error {
			if _, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil }); err != nil {
				return err
			}
			if v, ok, err := flash.Take(ctx); v != "f" || !ok || err != nil {
				t.Errorf("take: %q, %v, %v", v, ok, err)
			}
			return errors.Join(note.Set(ctx, "changed"), session.From(ctx).Renew(ctx))
		})
		time.Sleep(5 * time.Minute)
		fill(m, 10, 8<<10)
		if n := strings.Count(out.String(), "no room for more"); n != 2 {
			t.Errorf("said %d times: %s", n, &out)
		}
		time.Sleep(40 * time.Minute) // the others end; tombstones count for five minutes
		if refused := fill(m, 10, 8<<10); refused != 0 || store.Status().Bytes > 200<<10 {
			t.Errorf("%d refused, %d bytes", refused, store.Status().Bytes)
		}
	})
}

// One client without cookies cannot make a node's memory grow beyond the limit, whatever it sends.
// Slow: memory grows to its limit for real.
func TestMemoryStopsAtTheLimit(t *testing.T) {
	if race.Enabled {
		t.Skip("measures memory")
	}
	const total = 16 << 20
	store := session.NewMemory()
	m := newManager(t, store, withTotal(total))
	agreed(t, store, total)
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before, refused := heap(), 0
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 4 {
			session.NewKey[string](fmt.Sprint(i)).Set(r.Context(), strings.Repeat("x", 15<<10))
		}
	}))
	for range 4000 { // 240 MiB
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newRequest())
		if w.Code == http.StatusServiceUnavailable {
			refused++
		}
	}
	for range 20_000 {
		w := httptest.NewRecorder()
		r := newRequest()
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { count.Set(r.Context(), 1) })).ServeHTTP(w, r)
	}
	grown := int64(heap()) - int64(before)
	if grown > total+2<<20 || refused < 3500 || store.Status().Bytes > total {
		t.Errorf("the heap has grown by %d bytes, limit %d; %d refused", grown, total, refused)
	}
	t.Logf("%d bytes more, %d counted, %d sessions, %d large ones refused", grown, store.Status().Bytes, store.Status().Sessions, refused)
	runtime.KeepAlive(m)
}
