package session_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// nodes returns a log and a Manager per node.
func nodes(t testing.TB, n int, change ...func(*session.Config)) (*testLog, []*session.Manager) {
	l := newTestLog(t, n)
	var ms []*session.Manager
	for _, node := range l.nodes {
		ms = append(ms, newManager(t, node.store(), change...))
	}
	return l, ms
}

// step carries out one request of a client that keeps its cookies.
func step(m *session.Manager, r *http.Request, f func(ctx context.Context) error) (*http.Response, error) {
	var err error
	resp := within(m, r.Clone(r.Context()), func(ctx context.Context, w http.ResponseWriter) { err = f(ctx) })
	sessiontest.Carry(r, resp)
	if err == nil && resp.StatusCode != 200 {
		body, _ := io.ReadAll(resp.Body)
		err = errors.New(resp.Status + ": " + string(body))
	}
	return resp, err
}

func setNote(v string) func(context.Context) error {
	return func(ctx context.Context) error { return note.Set(ctx, v) }
}

func wantNote(v string) func(context.Context) error {
	return func(ctx context.Context) error {
		if got := note.Or(ctx, "absent"); got != v {
			return errors.New("note is " + got + ", want " + v)
		}
		return nil
	}
}

func must(t *testing.T, resp *http.Response, err error) *http.Response {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func call(t *testing.T, m *session.Manager, r *http.Request, f func(ctx context.Context) error) *http.Response {
	t.Helper()
	resp, err := step(m, r, f)
	return must(t, resp, err)
}

// lagging returns two nodes of which the second hears nothing any more, and a request of a client that has been to both.
func lagging(t *testing.T) (*testLog, []*session.Manager, *http.Request) {
	l, ms := nodes(t, 2)
	r := newRequest()
	call(t, ms[0], r, setNote("old"))
	call(t, ms[1], r, wantNote("old"))
	l.set(func() { l.nodes[1].held = true })
	return l, ms, r
}

// A client reads what it wrote on a node that lags behind: fetched from the leader, used for that request alone.
func TestReadsOwnWritesOnALaggingNode(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms, r := lagging(t)
		resp := call(t, ms[0], r, setNote("new"))
		if !setsCookie(resp.Header, "six") || setsCookie(resp.Header, "sid") {
			t.Errorf("a write sets %q", resp.Header["Set-Cookie"])
		}
		call(t, ms[1], r, wantNote("new"))
		if _, _, queries := l.nodes[1].counts(); queries != 1 {
			t.Errorf("%d queries", queries)
		}
		if rec := l.nodes[1].machine.Applied(); rec != 1 {
			t.Errorf("the held copy moved to %d", rec)
		}
		l.set(func() { l.nodes[1].held = false })
		call(t, ms[1], r, wantNote("new"))
		for range 5 { // reads do not change what the client carries
			if resp := call(t, ms[1], r, wantNote("new")); resp.Header["Set-Cookie"] != nil {
				t.Errorf("a read sets %q", resp.Header["Set-Cookie"])
			}
		}
	})
}

// A node that is behind by a moment is waited for, and nobody else asked.
func TestWaitsForTheOwnCopy(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 2, func(c *session.Config) { c.WaitTimeout = 10 * time.Second })
		r := newRequest()
		call(t, ms[0], r, setNote("old"))
		call(t, ms[1], r, wantNote("old"))
		l.set(func() { l.nodes[1].lag = 20 * time.Millisecond })
		call(t, ms[0], r, setNote("new"))
		call(t, ms[1], r, wantNote("new"))
		if _, _, queries := l.nodes[1].counts(); queries != 0 {
			t.Errorf("%d queries", queries)
		}
	})
}

// A session that a lagging node has not heard of is found, even without an index: that there is none has to be proved.
func TestMissIsProved(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 2)
		l.set(func() { l.nodes[1].lag = 30 * time.Millisecond })
		r := newRequest()
		call(t, ms[0], r, setNote("new"))
		r.Header.Set("Cookie", strings.Split(r.Header.Get("Cookie"), ";")[0])
		call(t, ms[1], r, wantNote("new"))
		if _, barriers, _ := l.nodes[1].counts(); barriers != 1 {
			t.Errorf("%d barriers", barriers)
		}
	})
}

// Tokens of sessions that do not exist cost one question in ten seconds each, forged ones none.
func TestUnknownTokens(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 1)
		elsewhere := newManager(t, session.NewMemory())
		r := sessiontest.Request(t, elsewhere, newRequest(), setNote("elsewhere"))
		for range 100 {
			call(t, ms[0], r, func(ctx context.Context) error {
				if session.From(ctx).Exists() {
					return errors.New("exists")
				}
				return nil
			})
		}
		cookie := r.Header.Get("Cookie")
		for i := range 100 {
			r.Header.Set("Cookie", cookie[:10]+string(rune('A'+i%26))+cookie[11:50]+"AAAA"+cookie[54:])
			call(t, ms[0], r, wantNote("absent"))
		}
		if p, b, q := l.nodes[0].counts(); p != 0 || b != 1 || q != 0 {
			t.Errorf("%d proposals, %d barriers, %d queries", p, b, q)
		}
	})
}

// An index that is not genuine, or about another session or cluster, makes nothing fail. One that could be of another epoch
// of the farm has the node ask how the session is by now; what could not be an index at all does not even that.
func TestForeignIndex(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 1)
		_, others := nodes(t, 1)
		_ = l
		r, other := newRequest(), newRequest()
		call(t, ms[0], r, setNote("mine"))
		for range 5 {
			call(t, others[0], other, setNote("theirs"))
		}
		sid := strings.Split(r.Header.Get("Cookie"), "; ")[0]
		six := strings.Split(other.Header.Get("Cookie"), "; ")[1]
		for i, index := range []string{"six=", "six=x", six[:20], six, "six=" + strings.Repeat("_", 32), "six=" + strings.Repeat("A", 32)} {
			r.Header.Set("Cookie", sid+"; "+index)
			call(t, ms[0], r, wantNote("mine"))
			if _, b, q := l.nodes[0].counts(); b != max(0, i-2) || q != 0 {
				t.Errorf("%q: %d barriers, %d queries", index, b, q)
			}
		}
	})
}

// Whoever ends a session has the client forget its index as well, one that is of an earlier epoch of the farm, or
// means nothing, included: nodes remember the name of the epoch for a second, and so write old ones when it has changed.
func TestEndForgetsEveryIndex(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, ms := nodes(t, 1)
		for _, index := range []string{"six=" + strings.Repeat("A", 32), "six=x", "six="} {
			r := newRequest()
			call(t, ms[0], r, setNote("x"))
			sid := strings.Split(r.Header.Get("Cookie"), "; ")[0]
			r.Header.Set("Cookie", sid+"; "+index)
			call(t, ms[0], r, func(ctx context.Context) error { return session.From(ctx).Destroy(ctx) })
			if c := r.Header.Get("Cookie"); c != "" {
				t.Errorf("with %q, the client still has %q", index, c)
			}
		}
	})
}

// A client that has seen a later epoch of the farm does not get what a node of the earlier one still shows.
func TestIndexOfALaterEpoch(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 2)
		r := newRequest()
		call(t, ms[0], r, setNote("old"))
		eventually(t, "the other node has it", func() bool {
			_, err := step(ms[1], r.Clone(t.Context()), wantNote("old"))
			return err == nil
		})
		l.set(func() { l.nodes[1].held = true })
		call(t, ms[0], r, setNote("new"))
		sid := strings.Split(r.Header.Get("Cookie"), "; ")[0]
		r.Header.Set("Cookie", sid+"; six="+strings.Repeat("A", 32))
		if resp, err := step(ms[1], r, wantNote("new")); resp.StatusCode != 503 {
			t.Errorf("%s, %v: a node that is behind answered", resp.Status, err)
		}
	})
}

func TestEndedTokenNeedsNoProof(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 2)
		r := newRequest()
		call(t, ms[0], r, setNote("x"))
		old := r.Clone(t.Context())
		call(t, ms[0], r, func(ctx context.Context) error { return session.From(ctx).Destroy(ctx) })
		if c := r.Header.Get("Cookie"); c != "" {
			t.Errorf("the client still has %q", c)
		}
		eventually(t, "replicated", func() bool { return l.nodes[1].Applied() == 2 })
		call(t, ms[1], old, wantNote("absent"))
		if _, b, q := l.nodes[1].counts(); b+q != 0 {
			t.Errorf("%d barriers, %d queries", b, q)
		}
		resp := call(t, ms[1], old, setNote("a new session"))
		if !setsCookie(resp.Header, "sid") {
			t.Error("whoever comes back with an ended token gets no new session")
		}
	})
}

// The node is cut off: reads go on for MaxStale and then fail, writes fail, nothing is written twice later.
func TestCutOff(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const maxStale = 300 * time.Millisecond
		l, ms := nodes(t, 2, func(c *session.Config) { c.MaxStale, c.CommitTimeout = maxStale, 50*time.Millisecond })
		r := newRequest()
		call(t, ms[0], r, func(ctx context.Context) error { return errors.Join(note.Set(ctx, "x"), count.Set(ctx, 1)) })
		call(t, ms[1], r, wantNote("x"))
		l.set(func() { l.nodes[1].cut = true; l.nodes[1].contact = time.Now() })
		call(t, ms[1], r, wantNote("x"))
		resp, _ := step(ms[1], r, setNote("lost"))
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a write: %s %v", resp.Status, resp.Header)
		}
		_, err := step(ms[1], r, func(ctx context.Context) error {
			_, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil })
			return err
		})
		if !errors.Is(err, session.ErrNoLeader) {
			t.Errorf("an update: %v", err)
		}
		call(t, ms[0], r.Clone(t.Context()), func(ctx context.Context) error { return session.From(ctx).Destroy(ctx) })
		ran := false
		eventually(t, "a node too long out of contact refuses", func() bool {
			resp, _ := step(ms[1], r, func(context.Context) error { ran = true; return nil })
			return resp.StatusCode == 503 && resp.Header.Get("Retry-After") != ""
		})
		ran = false
		step(ms[1], r, func(context.Context) error { ran = true; return nil })
		if ran {
			t.Error("the handler ran, and would have taken the session for empty")
		}
		l.set(func() { l.nodes[1].cut = false })
		eventually(t, "the node is back, and the session ended", func() bool {
			resp, err := step(ms[1], r, wantNote("absent"))
			return resp.StatusCode == 200 && err == nil
		})
	})
}

// As long as there may be a new leader in a moment, a change waits for it; after that it fails fast.
func TestWritesFailFastWhenOutOfContact(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 1)
		r := newRequest()
		call(t, ms[0], r, setNote("x"))
		l.set(func() { l.down = true; l.nodes[0].contact = time.Now() })
		fails := func() time.Duration {
			begin := time.Now()
			if resp, _ := step(ms[0], r, setNote("y")); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("a write without a leader: %s %v", resp.Status, resp.Header)
			}
			return time.Since(begin)
		}
		if d := fails(); d != 5*time.Second {
			t.Errorf("the first one failed after %v", d)
		}
		fails()
		if d := fails(); d != time.Second {
			t.Errorf("one long after failed after %v", d)
		}
		l.set(func() { l.down = false })
		call(t, ms[0], r, setNote("z"))
	})
}

// A request without a token, or with a forged one, is served whatever the state of the cluster.
func TestAnonymousIsServedWithoutALeader(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 1, func(c *session.Config) { c.CommitTimeout = 20 * time.Millisecond })
		l.set(func() { l.down = true })
		r := newRequest()
		call(t, ms[0], r, wantNote("absent"))
		r.Header.Set("Cookie", "sid="+strings.Repeat("A", 64))
		call(t, ms[0], r, wantNote("absent"))
		r.Header.Del("Cookie")
		resp, _ := step(ms[0], r, setNote("x"))
		if resp.StatusCode != 503 || resp.Header["Set-Cookie"] != nil {
			t.Errorf("creating: %s %v", resp.Status, resp.Header)
		}
	})
}

// A node that has no keys yet cannot tell a genuine token from another, and says so.
func TestWithoutKeys(t *testing.T) {
	ring := &testKeys{}
	m := newManager(t, session.NewMemory(), func(c *session.Config) { c.Keys = ring })
	r := newRequest()
	call(t, m, r, wantNote("absent"))
	resp, _ := step(m, r, setNote("x"))
	if resp.StatusCode != 503 {
		t.Errorf("creating: %s", resp.Status)
	}
	r.Header.Set("Cookie", "sid="+strings.Repeat("A", 64))
	resp, _ = step(m, r, func(context.Context) error { t.Error("the handler ran"); return nil })
	if resp.StatusCode != 503 {
		t.Errorf("reading: %s", resp.Status)
	}
}

// rotating is a node's view of a key ring. lacked is what Await finds out about the keys that it has not.
type rotating struct {
	keys    map[uint32][]byte
	signs   uint32
	await   func(r *rotating) error
	awaited int
}

func (r *rotating) Current(string) (uint32, []byte, bool) {
	key, ok := r.keys[r.signs]
	return r.signs, key, ok
}

func (r *rotating) Key(_ string, id uint32) ([]byte, bool) {
	key, ok := r.keys[id]
	return key, ok
}

func (r *rotating) Await(ctx context.Context, purpose string, id uint32) error {
	r.awaited++
	if _, bounded := ctx.Deadline(); !bounded || purpose != session.KeyPurpose || r.keys[id] != nil {
		return errors.New("asked for ever, or for what it has")
	}
	return r.await(r)
}

// A token signed by a key that this node lacks is no forged one: the node finds out, or says that it cannot tell.
func TestTokenOfAKeyThatIsLacking(t *testing.T) {
	one, two := []byte("0123456789abcdef0123456789abcdef"), []byte("abcdef0123456789abcdef0123456789")
	here := &rotating{keys: map[uint32][]byte{1: one, 2: two}, signs: 2}
	there := &rotating{keys: map[uint32][]byte{1: one}, signs: 1}
	l := newTestLog(t, 2)
	a := newManager(t, l.nodes[0].store(), func(c *session.Config) { c.Keys = here })
	b := newManager(t, l.nodes[1].store(), func(c *session.Config) { c.Keys = there })
	r := newRequest()
	call(t, a, r, setNote("written"))

	there.await = func(*rotating) error { return errors.New("cut off") }
	for range 2 {
		resp, _ := step(b, r.Clone(t.Context()), func(context.Context) error { t.Error("the handler ran"); return nil })
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header["Set-Cookie"] != nil {
			t.Errorf("it cannot be told: %s %v", resp.Status, resp.Header)
		}
	}
	many := r.Clone(t.Context()) // with cookies that others have planted in front
	planted := "sid=" + strings.Repeat("A", 64) + "; "
	many.Header.Set("Cookie", planted+planted+r.Header.Get("Cookie"))
	there.awaited = 0
	if resp, _ := step(b, many, wantNote("absent")); resp.StatusCode != 503 || there.awaited != 1 {
		t.Errorf("several: %s, asked %d times", resp.Status, there.awaited)
	}

	there.await = func(*rotating) error { return nil }
	call(t, b, r.Clone(t.Context()), wantNote("absent")) // there is no such key: it is forged, or has expired

	there.await = func(r *rotating) error { r.keys[2] = two; return nil }
	call(t, b, r, wantNote("written"))
	there.awaited = 0
	call(t, b, r, setNote("again"))
	if there.awaited != 0 {
		t.Error("asked for a key that it has")
	}
	many.Header.Set("Cookie", planted+r.Header.Get("Cookie"))
	there.await = func(*rotating) error { return nil }
	call(t, b, many, wantNote("again"))

	delete(here.keys, 1) // retired: what it signed is worth nothing, and what the other did stays
	delete(there.keys, 1)
	call(t, b, r, wantNote("again"))
}

// The response of an older write that arrives last still tells of the newer one, if this node knew it.
func TestOlderResponseTellsOfTheNewerWrite(t *testing.T) {
	_, ms := nodes(t, 1)
	r := newRequest()
	call(t, ms[0], r, setNote("0"))
	var early, late *http.Response
	early = within(ms[0], r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) {
		note.Set(ctx, "first")
		session.From(ctx).Save(ctx)
		late = within(ms[0], r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) { note.Set(ctx, "second") })
	})
	index := func(resp *http.Response) string {
		for _, c := range resp.Cookies() {
			if c.Name == "six" {
				return c.Value
			}
		}
		return ""
	}
	if index(early) == "" || index(early) != index(late) {
		t.Errorf("%q, %q", index(early), index(late))
	}
}

// What another client of the same session wrote a moment ago, and this one has read, it will not miss on the next node.
func TestReadsDoNotGoBackwards(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 2)
		tab1, tab2 := newRequest(), newRequest()
		call(t, ms[0], tab1, setNote("old"))
		tab2.Header = tab1.Header.Clone()
		call(t, ms[1], tab2, wantNote("old"))
		l.set(func() { l.nodes[1].held = true })
		call(t, ms[0], tab1, setNote("new"))
		if resp := call(t, ms[0], tab2, wantNote("new")); !setsCookie(resp.Header, "six") {
			t.Error("reading a young change is not noted")
		}
		call(t, ms[1], tab2, wantNote("new"))
	})
}

// 2,000 clients ahead of a node that hears nothing are all answered, and nothing is left behind.
func TestManyWaiters(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, ms, r := lagging(t)
		call(t, ms[0], r, setNote("new"))
		var wg sync.WaitGroup
		for range 2000 {
			wg.Go(func() {
				resp, err := step(ms[1], r.Clone(context.Background()), wantNote("new"))
				if err != nil && resp.StatusCode != 503 {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
	})
}

// A client moves between three nodes at random, while one lags and others write: it never sees its session go backwards.
func TestNeverBackwards(t *testing.T) {
	l, ms := nodes(t, 3)
	l.nodes[1].lag, l.nodes[2].lag = time.Millisecond, 3*time.Millisecond
	r := newRequest()
	call(t, ms[0], r, func(ctx context.Context) error { return count.Set(ctx, 0) })
	var wg sync.WaitGroup
	for i := range 3 {
		client := r.Clone(context.Background())
		wg.Go(func() {
			last := 0
			for j := range 60 {
				_, err := step(ms[(i+j)%3], client, func(ctx context.Context) error {
					n, _ := count.Get(ctx)
					if n < last {
						t.Errorf("%d after %d", n, last)
					}
					if last = n; j%3 == 0 {
						var err error
						last, err = count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil })
						return err
					}
					return nil
				})
				if err != nil {
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "all updates counted", func() bool {
		_, err := step(ms[0], r.Clone(t.Context()), func(ctx context.Context) error {
			if n, _ := count.Get(ctx); n != 60 {
				return errors.New("not yet")
			}
			return nil
		})
		return err == nil
	})
}

func TestIndexHeader(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 2, func(c *session.Config) { c.Header = "Session-Token" })
		r := newRequest()
		r.Header.Set("Session-Token", "")
		send := func(m *session.Manager, f func(ctx context.Context) error) {
			t.Helper()
			resp := call(t, m, r, f)
			for _, name := range []string{"Session-Token", session.IndexHeader} {
				if v := resp.Header.Get(name); v != "" {
					r.Header.Set(name, v)
				}
			}
			if resp.Header["Set-Cookie"] != nil {
				t.Errorf("cookies %q", resp.Header["Set-Cookie"])
			}
		}
		send(ms[0], setNote("old"))
		send(ms[1], wantNote("old"))
		l.set(func() { l.nodes[1].held = true })
		send(ms[0], setNote("new"))
		send(ms[1], wantNote("new"))
	})
}

// A node that may answer while it is ten minutes behind must be told for as long what the client has seen.
func TestIndexLivesAsLongAsStaleReads(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, ms := nodes(t, 2, func(c *session.Config) { c.MaxStale = 10 * time.Minute })
		r := newRequest()
		call(t, ms[0], r, setNote("old"))
		time.Sleep(time.Minute)
		l.set(func() { l.nodes[1].cut, l.nodes[1].contact = true, time.Now() })
		resp := call(t, ms[0], r, setNote("new"))
		for _, c := range resp.Cookies() {
			if c.Name == "six" && c.MaxAge < 600 {
				t.Errorf("the index is kept for %d s", c.MaxAge)
			}
		}
		time.Sleep(5 * time.Minute)
		if resp, err := step(ms[1], r, wantNote("new")); resp.StatusCode != 503 {
			t.Errorf("five minutes later: %s, %v", resp.Status, err)
		}
		reader := newRequest() // the same client, with the token alone
		for _, c := range r.Cookies() {
			if c.Name == "sid" {
				reader.AddCookie(c)
			}
		}
		if !setsCookie(call(t, ms[0], reader, wantNote("new")).Header, "six") {
			t.Error("a read of a change that some node may not have yet does not tell of it")
		}
	})
}
