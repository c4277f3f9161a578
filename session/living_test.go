package session_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/session"
)

// cookieOf returns the value of a cookie that r carries.
func cookieOf(t testing.TB, r *http.Request, name string) string {
	t.Helper()
	c, err := r.Cookie(name)
	if err != nil {
		t.Fatal(err)
	}
	return c.Value
}

// Of several genuine tokens the first counts whose session lives, wherever it stands: a dead cookie of another Domain or Path
// must not lock its owner out for good.
func TestFirstLivingTokenCounts(t *testing.T) {
	_, ms := nodes(t, 2)
	tokens := map[string]string{}
	for _, name := range []string{"dead", "dead too", "living", "other"} {
		r := newRequest()
		call(t, ms[0], r, setNote(name))
		tokens[name] = cookieOf(t, r, "sid")
		if strings.HasPrefix(name, "dead") {
			call(t, ms[0], r, func(ctx context.Context) error { return session.From(ctx).Destroy(ctx) })
		}
	}
	forged := "A" + strings.TrimLeft(tokens["living"], "A")[1:]
	tokens["forged"] = forged + strings.Repeat("A", len(tokens["living"])-len(forged))
	for _, c := range []struct{ sent, want string }{
		{"living", "living"},
		{"dead, living", "living"},
		{"living, dead", "living"},
		{"dead, dead, living", "living"},
		{"forged, dead, dead too, living", "living"},
		{"dead, living, other", "living"},
		{"other, dead, living", "other"},
		{"dead, dead too", "absent"},
	} {
		var cookies []string
		for name := range strings.SplitSeq(c.sent, ", ") {
			cookies = append(cookies, "sid="+tokens[name])
		}
		for i, m := range ms {
			r := newRequest()
			r.Header.Set("Cookie", strings.Join(cookies, "; "))
			if _, err := step(m, r, wantNote(c.want)); err != nil {
				t.Errorf("%s, node %d: %v", c.sent, i, err)
			}
		}
	}
}

// A login behind a dead cookie takes effect, and so does a logout: what the index belongs to is found beside either token.
func TestLoginBehindADeadCookie(t *testing.T) {
	l, ms := nodes(t, 2)
	dead, r := newRequest(), newRequest()
	call(t, ms[0], dead, setNote("old"))
	call(t, ms[0], dead.Clone(t.Context()), func(ctx context.Context) error { return session.From(ctx).Destroy(ctx) })
	l.set(func() { l.nodes[1].lag = 20 * time.Millisecond })
	call(t, ms[0], r, setNote("new"))
	r.Header.Set("Cookie", "sid="+cookieOf(t, dead, "sid")+"; "+r.Header.Get("Cookie"))
	step := func(m *session.Manager, f func(ctx context.Context) error) {
		t.Helper()
		within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
			if err := f(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	step(ms[1], wantNote("new"))
	step(ms[1], func(ctx context.Context) error { return session.From(ctx).Destroy(ctx) })
	step(ms[0], exists(t, false))
	step(ms[1], exists(t, false))
}

// A session past its deadline by the clock alone is not remembered as gone: a touch that was stamped in time may be on its way.
func TestGoneIsNotForThoseWhoMayComeBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		log := &skewed{machine: session.NewMachine()}
		m := newManager(t, log.log())
		r := newRequest()
		time.Sleep(500 * time.Millisecond) // Ticks come at whole seconds
		call(t, m, r, setNote("logged in"))
		key := session.StoreKeyOf(cookieOf(t, r, "sid"))
		time.Sleep(31*time.Minute + 5*time.Millisecond)
		call(t, m, r.Clone(t.Context()), exists(t, false))
		log.skew = -10 * time.Millisecond // another node's touch, stamped before the deadline, is committed only now
		log.Propose(t.Context(), session.Touch{Keys: []session.StoreKey{key}}.Append(nil))
		if _, ok := log.machine.Get(key); !ok {
			t.Fatal("the touch has not saved the session")
		}
		call(t, m, r, wantNote("logged in"))
	})
}

// history is a log whose name and copy can change, as at a restored backup. It counts its barriers.
type history struct {
	*skewed
	name     atomic.Pointer[string]
	copy     atomic.Pointer[session.Machine]
	barriers atomic.Int64
}

func (h *history) Barrier(ctx context.Context) error { h.barriers.Add(1); return nil }

func (h *history) become(name string) {
	h.name.Store(&name)
	h.copy.Store(session.NewMachine())
}

// What is known to be gone is asked for once in ten seconds, and once more in every history.
func TestGoneBelongsToAHistory(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		here := &history{skewed: &skewed{machine: session.NewMachine()}}
		here.become("one")
		m := newManager(t, session.NewReplicated(here, here.copy.Load, func() string { return *here.name.Load() }))
		r := newRequest()
		call(t, newManager(t, (&skewed{machine: session.NewMachine()}).log()), r, setNote("of a farm that never was here"))
		r.Header.Set("Cookie", "sid="+cookieOf(t, r, "sid"))
		var asked []int64
		ask := func() {
			time.Sleep(1100 * time.Millisecond) // the name of the history is looked at once a second
			call(t, m, r.Clone(t.Context()), exists(t, false))
			asked = append(asked, here.barriers.Load())
		}
		ask()
		ask()
		two := "two"
		here.name.Store(&two)
		ask()
		ask()
		here.become("two")
		ask()
		ask()
		if want := []int64{1, 1, 2, 2, 3, 3}; !slices.Equal(asked, want) {
			t.Errorf("barriers %v, want %v", asked, want)
		}
	})
}

// A session that would end while the request runs is touched before the handler runs: what it sets is there afterwards.
func TestSessionAboutToEndIsTouchedFirst(t *testing.T) {
	for _, left := range []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, 3 * time.Second} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				_, ms := nodes(t, 1)
				r := newRequest()
				call(t, ms[0], r, setNote("x"))
				time.Sleep(31*time.Minute - left)
				resp := within(ms[0], r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
					time.Sleep(5 * time.Second) // a slow page
					if err := flash.Set(ctx, "your order"); err != nil {
						t.Error(err)
					}
					reply(w, nil)
				})
				call(t, ms[0], r, func(ctx context.Context) error {
					if v := flash.Or(ctx, "absent"); resp.StatusCode == 200 && v != "your order" {
						t.Errorf("%v before its end: the response said 200, and the value is %s", left, v)
					}
					return nil
				})
			})
		})
	}
}

// Touching first costs one command, and nothing where the session was used lately.
func TestTouchingFirstIsRare(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store, func(c *session.Config) { c.Idle = 5 * time.Second })
		r := newRequest()
		call(t, m, r, setNote("x"))
		time.Sleep(14 * time.Second)
		for range 100 {
			call(t, m, r, wantNote("x"))
		}
		touches := 0
		for _, c := range store.seen() {
			if _, ok := c.(session.Touch); ok {
				touches++
			}
		}
		if touches != 1 {
			t.Errorf("%d touches for 100 requests, want 1", touches)
		}
	})
}
