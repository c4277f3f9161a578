package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

type cart struct {
	Items []string
	Note  map[string]int
}

var cartKey = session.NewKey[cart]("cart")

func newRequest() *http.Request { return httptest.NewRequest("GET", "/", nil) }

func TestValuesComeBack(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error {
		return errors.Join(count.Set(ctx, -70000), note.Set(ctx, "grüße"), cartKey.Set(ctx, cart{[]string{"a"}, map[string]int{"x": 1}}))
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		n, ok := count.Get(ctx)
		c, _ := cartKey.Get(ctx)
		if n != -70000 || !ok || note.Or(ctx, "") != "grüße" || c.Items[0] != "a" || c.Note["x"] != 1 {
			t.Errorf("got %d, %v, %q, %v", n, ok, note.Or(ctx, ""), c)
		}
		c.Items[0], c.Note["x"] = "changed", 2 // a copy: changes nothing
		if c, _ := cartKey.Get(ctx); c.Items[0] != "a" || c.Note["x"] != 1 {
			t.Errorf("a change to what Get returned shows: %v", c)
		}
		if s, ok := flash.Get(ctx); ok || s != "" || flash.Or(ctx, "none") != "none" {
			t.Errorf("absent: %q, %v", s, ok)
		}
	})
}

func TestReadsOwnChanges(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error {
		return errors.Join(note.Set(ctx, "old"), count.Set(ctx, 1))
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		note.Set(ctx, "new")
		flash.Set(ctx, "f")
		count.Delete(ctx)
		_, ok := count.Get(ctx)
		if note.Or(ctx, "") != "new" || ok {
			t.Errorf("note %q, count there: %v", note.Or(ctx, ""), ok)
		}
		if keys := slices.Collect(session.From(ctx).Keys()); !slices.Equal(keys, []string{"flash", "note"}) {
			t.Errorf("keys %q", keys)
		}
		flash.Delete(ctx) // never committed: leaves nothing to do
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if keys := slices.Collect(session.From(ctx).Keys()); !slices.Equal(keys, []string{"note"}) {
			t.Errorf("keys %q", keys)
		}
	})
}

// Two requests of one session, interleaved in every way that matters, keep each other's keys.
func TestRequestsKeepEachOthersKeys(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return count.Set(ctx, 0) })
	within(m, r.Clone(t.Context()), func(slow context.Context, w http.ResponseWriter) {
		note.Set(slow, "slow")
		within(m, r.Clone(t.Context()), func(fast context.Context, w http.ResponseWriter) {
			flash.Set(fast, "fast")
			count.Set(fast, 1)
		})
		if n, _ := count.Get(slow); n != 0 {
			t.Errorf("the snapshot moved: %d", n)
		}
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if note.Or(ctx, "") != "slow" || flash.Or(ctx, "") != "fast" || count.Or(ctx, 0) != 1 {
			t.Errorf("note %q, flash %q, count %d", note.Or(ctx, ""), flash.Or(ctx, ""), count.Or(ctx, 0))
		}
	})
}

func TestLastSetStays(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "0") })
	within(m, r.Clone(t.Context()), func(slow context.Context, w http.ResponseWriter) {
		note.Set(slow, "set first, committed last")
		within(m, r.Clone(t.Context()), func(fast context.Context, w http.ResponseWriter) { note.Set(fast, "set last") })
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if got := note.Or(ctx, ""); got != "set first, committed last" {
			t.Errorf("note %q", got)
		}
	})
}

func TestUpdate(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := newRequest()
	add := func(ctx context.Context) (int, error) {
		return count.Update(ctx, func(n int, ok bool) (int, error) { return n + 1, nil })
	}
	for want := 1; want <= 3; want++ {
		resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			if n, err := add(ctx); n != want || err != nil {
				t.Errorf("update: %d, %v; want %d", n, err, want)
			}
		})
		sessiontest.Carry(r, resp)
	}
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		count.Set(ctx, 10) // travels with the Update
		within(m, r.Clone(t.Context()), func(other context.Context, w http.ResponseWriter) { add(other) })
		if n, err := add(ctx); n != 11 || err != nil {
			t.Errorf("update of a buffered value: %d, %v", n, err)
		}
		if n, _ := count.Get(ctx); n != 11 {
			t.Errorf("after it: %d", n)
		}
		boom := errors.New("boom")
		if _, err := count.Update(ctx, func(int, bool) (int, error) { return 0, boom }); err != boom {
			t.Errorf("error of f: %v", err)
		}
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if n, _ := count.Get(ctx); n != 11 {
			t.Errorf("in the end: %d", n)
		}
	})
}

// An Update of one key commits neither what else is buffered nor anything twice.
func TestUpdateLeavesBufferedChanges(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "a") })
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		note.Set(ctx, "b")
		count.Set(ctx, 1)
		count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil })
		within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
			if note.Or(ctx, "") != "a" || count.Or(ctx, 0) != 2 {
				t.Errorf("meanwhile: note %q, count %d", note.Or(ctx, ""), count.Or(ctx, 0))
			}
		})
	})
	cmds := store.seen()
	last, ok := cmds[len(cmds)-1].(session.Write)
	if !ok || len(last.Sets) != 1 || last.Sets[0].Name != "note" || len(last.Deletes) != 0 {
		t.Errorf("the response committed %+v", cmds[len(cmds)-1])
	}
}

// 64 goroutines hammer one value on three nodes: nothing is lost, nothing counted twice, nobody gives up.
// Slow: each of 1,280 updates is tried until no other one comes between.
func TestUpdateUnderContention(t *testing.T) {
	const workers, times = 64, 20
	l := newTestLog(t, 3)
	var nodes []*session.Manager
	for _, n := range l.nodes {
		nodes = append(nodes, newManager(t, n.store()))
	}
	l.nodes[2].lag = 200_000 // 0.2 ms
	r := sessiontest.Request(t, nodes[0], newRequest(), func(ctx context.Context) error { return count.Set(ctx, 0) })
	var runs atomic.Int64
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for range times {
				within(nodes[i%3], r.Clone(context.Background()), func(ctx context.Context, w http.ResponseWriter) {
					_, err := count.Update(ctx, func(n int, _ bool) (int, error) { runs.Add(1); return n + 1, nil })
					if err != nil {
						t.Errorf("update: %v", err)
					}
				})
			}
		})
	}
	wg.Wait()
	eventually(t, "all updates are there, and no more", func() (done bool) {
		within(nodes[1], r, func(ctx context.Context, w http.ResponseWriter) { done = count.Or(ctx, 0) == workers*times })
		return done
	})
	t.Logf("%.2f runs per update", float64(runs.Load())/(workers*times))
}

func TestTakeHasOneWinner(t *testing.T) {
	l := newTestLog(t, 3)
	var nodes []*session.Manager
	for _, n := range l.nodes {
		nodes = append(nodes, newManager(t, n.store()))
	}
	r := sessiontest.Request(t, nodes[0], newRequest(), func(ctx context.Context) error { return flash.Set(ctx, "once") })
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			within(nodes[i%3], r.Clone(context.Background()), func(ctx context.Context, w http.ResponseWriter) {
				v, ok, err := flash.Take(ctx)
				if err != nil {
					t.Errorf("take: %v", err)
				}
				if ok {
					won.Add(1)
				}
				if _, still := flash.Get(ctx); ok != (v == "once") || still {
					t.Errorf("took %q, %v; still there: %v", v, ok, still)
				}
			})
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d winners", won.Load())
	}
}

func TestTakeIsFreeWhereNothingIs(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	before := len(store.seen())
	for _, r := range []*http.Request{r, newRequest()} {
		within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			if _, ok, err := flash.Take(ctx); ok || err != nil {
				t.Errorf("take: %v, %v", ok, err)
			}
			flash.Delete(ctx)
			flash.Set(ctx, "buffered") // and taken back
			if v, ok, err := flash.Take(ctx); v != "buffered" || !ok || err != nil {
				t.Errorf("take of a buffered value: %q, %v, %v", v, ok, err)
			}
		})
	}
	if n := len(store.seen()) - before; n != 0 {
		t.Errorf("%d commands: %v", n, store.seen()[before:])
	}
}

// What is read, asked for or destroyed where nothing is creates nothing.
func TestLazy(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		s := session.From(ctx)
		count.Get(ctx)
		count.Delete(ctx)
		if err := s.Destroy(ctx); err != nil || s.Exists() || s.ID() != "" || len(slices.Collect(s.Keys())) > 0 {
			t.Errorf("destroy: %v, exists %v, id %q", err, s.Exists(), s.ID())
		}
		if err := s.Save(ctx); err != nil {
			t.Errorf("save: %v", err)
		}
	})
	if len(store.seen()) > 0 || resp.Header["Set-Cookie"] != nil {
		t.Errorf("commands %v, cookies %q", store.seen(), resp.Header["Set-Cookie"])
	}
}

func TestDestroy(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	resp := within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
		count.Set(ctx, 1)
		s := session.From(ctx)
		if err := s.Destroy(ctx); err != nil || s.Exists() {
			t.Errorf("destroy: %v", err)
		}
		if _, ok := note.Get(ctx); ok {
			t.Error("a value of a destroyed session")
		}
		if err := s.Destroy(ctx); err != nil {
			t.Errorf("destroy again: %v", err)
		}
	})
	if c := resp.Header.Get("Set-Cookie"); !strings.Contains(c, "sid=;") || !strings.Contains(c, "Max-Age=0") {
		t.Errorf("Set-Cookie %q", c)
	}
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if _, ok := note.Get(ctx); ok || session.From(ctx).Exists() {
			t.Error("the old token still opens the session")
		}
	})
}

// A slow request of a session that ends meanwhile neither revives it nor makes a new one, and sends no cookie.
func TestEndedIsNotRevived(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error {
		return errors.Join(note.Set(ctx, "x"), flash.Set(ctx, "f"))
	})
	logout := func() {
		within(m, r.Clone(context.Background()), func(ctx context.Context, w http.ResponseWriter) { session.From(ctx).Destroy(ctx) })
	}
	resp := within(m, r.Clone(t.Context()), func(slow context.Context, w http.ResponseWriter) {
		note.Set(slow, "revived")
		logout()
		if _, err := count.Update(slow, func(int, bool) (int, error) { return 1, nil }); !errors.Is(err, session.ErrEnded) {
			t.Errorf("update: %v", err)
		}
		if _, _, err := flash.Take(slow); !errors.Is(err, session.ErrEnded) {
			t.Errorf("take: %v", err)
		}
		if err := note.Set(slow, "again"); !errors.Is(err, session.ErrEnded) {
			t.Errorf("set: %v", err)
		}
		io.WriteString(w, "page")
	})
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "page" || resp.Header["Set-Cookie"] != nil {
		t.Errorf("%d %q, cookies %q", resp.StatusCode, body, resp.Header["Set-Cookie"])
	}
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if session.From(ctx).Exists() {
			t.Error("the session is back")
		}
	})
}

func TestEndedAtCommitDropsWrites(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	resp := within(m, r.Clone(t.Context()), func(slow context.Context, w http.ResponseWriter) {
		note.Set(slow, "revived")
		within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) { session.From(ctx).Destroy(ctx) })
		io.WriteString(w, "page")
	})
	if resp.StatusCode != 200 || resp.Header["Set-Cookie"] != nil {
		t.Errorf("%d, cookies %q", resp.StatusCode, resp.Header["Set-Cookie"])
	}
}

func TestLimits(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		if err := note.Set(ctx, strings.Repeat("x", 20<<10)); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("a large value: %v", err)
		}
		_, err := note.Update(ctx, func(string, bool) (string, error) { return strings.Repeat("x", 20<<10), nil })
		if !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("a large update: %v", err)
		}
		for i := range 4 {
			if err := session.NewKey[string](fmt.Sprint(i)).Set(ctx, strings.Repeat("x", 16<<10-100)); err != nil {
				t.Errorf("value %d: %v", i, err)
			}
		}
		if err := note.Set(ctx, strings.Repeat("x", 1000)); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("a large session: %v", err)
		}
		for i := range 4 {
			session.NewKey[string](fmt.Sprint(i)).Delete(ctx)
		}
		for i := range 64 {
			if err := session.NewKey[int](fmt.Sprint("k", i)).Set(ctx, i); err != nil {
				t.Errorf("value %d: %v", i, err)
			}
		}
		if err := note.Set(ctx, "one too many"); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("65 keys: %v", err)
		}
	})
	if n := len(store.seen()); n != 1 {
		t.Errorf("%d commands, want the response's own", n)
	}
}

// A value whose type has changed is absent, and only that.
func TestChangedType(t *testing.T) {
	store := session.NewMemory()
	m := newManager(t, store) // the program before
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error {
		return errors.Join(session.NewKey[string]("v").Set(ctx, "text"), session.NewKey[int64]("n").Set(ctx, 300),
			session.NewKey[[]string]("l").Set(ctx, []string{"a"}), note.Set(ctx, "fine"))
	})
	m = newManager(t, store) // and after
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if v, ok := session.NewKey[int]("v").Get(ctx); ok {
			t.Errorf("a string as an int: %d", v)
		}
		if v, ok := session.NewKey[int8]("n").Get(ctx); ok {
			t.Errorf("300 as an int8: %d", v)
		}
		if v, ok := session.NewKey[cart]("l").Get(ctx); ok {
			t.Errorf("a list as a struct: %v", v)
		}
		if note.Or(ctx, "") != "fine" {
			t.Error("the others suffered")
		}
		if _, err := session.NewKey[int]("v").Update(ctx, func(_ int, ok bool) (int, error) { return 5, nil }); err != nil {
			t.Errorf("update over it: %v", err)
		}
	})
}

// Two keys of one name and different types would overwrite each other's values.
func TestTwoKeysOfOneName(t *testing.T) {
	a, again, other := session.NewKey[map[string]int]("cart"), session.NewKey[map[string]int]("cart"), session.NewKey[[]string]("cart")
	m := newManager(t, session.NewMemory())
	within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		if err := errors.Join(a.Set(ctx, nil), again.Set(ctx, map[string]int{"x": 1})); err != nil {
			t.Error(err)
		}
		defer func() {
			s, _ := recover().(string)
			for _, part := range []string{`"cart"`, "map[string]int", "[]string", "key_test.go:"} {
				if !strings.Contains(s, part) {
					t.Errorf("panic %q lacks %q", s, part)
				}
			}
		}()
		other.Get(ctx)
		t.Error("two keys of one name and different types")
	})
	within(newManager(t, session.NewMemory()), newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		if err := other.Set(ctx, nil); err != nil { // of another farm, perhaps of another program
			t.Error(err)
		}
	})
}

// A program that makes names of keys out of what clients send does not grow with them.
func TestManyNames(t *testing.T) {
	m := newManager(t, session.NewMemory())
	within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		for i := range 5000 {
			session.NewKey[int](fmt.Sprint("n", i)).Get(ctx)
		}
	})
	if n := session.Declared(m); n > 4096 {
		t.Errorf("%d names are remembered", n)
	}
}

func TestWithoutMiddleware(t *testing.T) {
	for name, f := range map[string]func(){
		"Get":  func() { count.Get(t.Context()) },
		"From": func() { session.From(t.Context()) },
		"zero": func() { session.Key[int]{}.Get(t.Context()) },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "session: ") {
					t.Errorf("%s: panic %v", name, s)
				}
			}()
			f()
		}()
	}
}

// One request's session may be used by several goroutines.
func TestConcurrentUseInOneRequest(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := newRequest()
	resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				session.NewKey[int](fmt.Sprint("k", i)).Set(ctx, i)
				if _, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil }); err != nil {
					t.Errorf("update: %v", err)
				}
				session.From(ctx).Save(ctx)
			})
		}
		wg.Wait()
	})
	if n := len(resp.Header["Set-Cookie"]); n != 1 {
		t.Errorf("%d cookies", n)
	}
	sessiontest.Carry(r, resp)
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if n, _ := count.Get(ctx); n != 16 {
			t.Errorf("count %d", n)
		}
		if n := len(slices.Collect(session.From(ctx).Keys())); n != 17 {
			t.Errorf("%d keys", n)
		}
	})
}

// What is set while a commit is under way belongs to the next one.
func TestSetDuringCommit(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error {
		return errors.Join(note.Set(ctx, "x"), flash.Set(ctx, "x"))
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		note.Set(ctx, "sent")
		flash.Set(ctx, "sent")
		store.set(func(session.Command) error {
			store.fail = nil
			flash.Delete(ctx)
			return note.Set(ctx, "meanwhile")
		})
		if err := session.From(ctx).Save(ctx); err != nil {
			t.Errorf("save: %v", err)
		}
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if _, ok := flash.Get(ctx); ok || note.Or(ctx, "") != "meanwhile" {
			t.Errorf("note %q, flash still there: %v", note.Or(ctx, ""), ok)
		}
	})
}

func TestNothingPrintsATokenOrAKey(t *testing.T) {
	m := newManager(t, session.NewMemory())
	resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		s := session.From(ctx)
		note.Set(ctx, "secret")
		s.Save(ctx)
		text := fmt.Sprintf("%v %+v %#v %s %d", s, s, s, s, s)
		if strings.Contains(text, "secret") || strings.Contains(text, string(s.ID())) || len(text) > 200 {
			t.Errorf("a session prints as %q", text)
		}
		if v := s.ID().LogValue().String(); v == string(s.ID()) || !strings.HasPrefix(string(s.ID()), v[:6]) {
			t.Errorf("id %q logs as %q", s.ID(), v)
		}
		fmt.Fprint(w, s.ID())
	})
	id, _ := io.ReadAll(resp.Body)
	if c := resp.Header.Get("Set-Cookie"); len(id) < 16 || strings.Contains(c, string(id)) {
		t.Errorf("id %q, cookie %q", id, c)
	}
	r := newRequest() // the public name opens nothing
	r.Header.Set("Cookie", "sid="+string(id))
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if session.From(ctx).Exists() {
			t.Error("a public ID opened a session")
		}
	})
}

// A request that ends its session clears the cookie, even if a change of the same request that was on its way arrives too late.
func TestDestroyBesideAnUpdate(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	r := newRequest()
	call(t, m, r, setNote("x"))
	under, destroyed := make(chan struct{}), make(chan struct{})
	store.set(func(cmd session.Command) error {
		if _, ok := cmd.(session.CAS); ok {
			close(under)
			<-destroyed
		}
		return nil
	})
	resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil })
			if !errors.Is(err, session.ErrEnded) {
				t.Errorf("Update: %v", err)
			}
		})
		<-under
		if err := session.From(ctx).Destroy(ctx); err != nil {
			t.Error(err)
		}
		close(destroyed)
		wg.Wait()
	})
	if !setsCookie(resp.Header, "sid") {
		t.Errorf("the cookie is not cleared: %q", resp.Header["Set-Cookie"])
	}
}
