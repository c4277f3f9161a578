package configsync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// depot is content in memory, of one node or of all.
type depot struct {
	mu     sync.Mutex
	blobs  map[blob.Hash][]byte
	keep   []blob.Hash
	known  []blob.Hash   // manifests to be kept
	fails  error         // what Fetch returns
	delays time.Duration // how long it takes
	asked  int           // how often
	gone   blob.Hash     // is to be had from nobody; see lose
	why    error         // what Fetch says of it; nil = it asks for ever
}

// lose has a content be gone, until another one is.
func (d *depot) lose(c *configsync.Content, why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone, d.why = (blob.Hash{}), why; c != nil {
		d.gone = c.Root
	}
}

func newDepot() *depot { return &depot{blobs: map[blob.Hash][]byte{}} }

// add adds the files of a content: path, text, path, text.
func (d *depot) add(t testing.TB, files ...string) *configsync.Content {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []content.File
	for i := 0; i < len(files); i += 2 {
		b := []byte(files[i+1])
		d.blobs[blob.Sum(b)] = b
		all = append(all, content.File{Path: files[i], Hash: blob.Sum(b), Size: int64(len(b)), Type: "text/html"})
	}
	m, err := content.New(all, nil, content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	d.blobs[m.Root()] = m.Encode()
	return &configsync.Content{Root: m.Root(), Source: m.Source(), Size: uint64(m.Bytes()), Files: uint64(len(all))}
}

func (d *depot) Fetch(ctx context.Context, c configsync.Content, progress func(have, size uint64)) (
	*content.Manifest, error) {
	d.mu.Lock()
	fails, delays, b := d.fails, d.delays, d.blobs[c.Root]
	gone, why := d.gone == c.Root, d.why
	d.asked++
	d.mu.Unlock()
	switch {
	case gone && why != nil:
		return nil, why
	case gone:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(delays):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if fails != nil {
		return nil, fails
	}
	progress(c.Size, c.Size)
	return content.Parse(b, content.Limits{})
}

func (d *depot) Keep(roots, manifests []blob.Hash) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep, d.known = roots, manifests
}

// memoryFile is a blob in memory.
type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error { return nil }

func (d *depot) Open(h blob.Hash) (blob.File, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, ok := d.blobs[h]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return memoryFile{bytes.NewReader(b)}, int64(len(b)), nil
}

// putContent publishes a content, with the configuration as it is.
func (n *labNode) putContent(c *configsync.Content) (configsync.Result, error) {
	p := configsync.Publication{Content: c}
	p.Epoch = n.manager.Status().Epoch
	return n.manager.Publish(context.Background(), p)
}

// get returns what a node answers to a request, in short.
func (n *labNode) get(path string) string {
	w := httptest.NewRecorder()
	n.manager.Handler(n.manager.Content()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	h := w.Header()
	return strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body, " ", h.Get("ETag"), " ", h.Get("Last-Modified")))
}

// TestContentIsSwitchedWithConfiguration: all nodes answer the same, before and after, and what a request sees does
// not change while it runs.
func TestContentIsSwitchedWithConfiguration(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDepot()
		l := newLab(t, 3, func(s *configsync.Settings) { s.Content = d })
		if got := l.nodes[0].get("/"); !strings.HasPrefix(got, "404 ") {
			t.Error(got)
		}
		l.mustPublish("banner: a\n")
		one := d.add(t, "public/index.html", "one", "templates/x", "{{one}}")
		if _, err := l.nodes[0].putContent(one); err != nil {
			t.Fatal(err)
		}
		l.want("a")
		first := l.nodes[0].get("/")
		if !strings.HasPrefix(first, "200 one \"") || !strings.HasSuffix(first, " GMT") {
			t.Error(first)
		}
		h := l.nodes[1].manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			m := l.nodes[1].manager
			if _, err := l.nodes[1].putContent(d.add(t, "public/index.html", "two", "templates/x", "{{two}}")); err != nil {
				t.Error(err)
			}
			for ctx, want := range map[context.Context]string{r.Context(): "{{one}}", context.Background(): "{{two}}"} {
				if b, err := fs.ReadFile(m.FS(ctx), "templates/x"); err != nil || string(b) != want {
					t.Errorf("%s, %v, want %s", b, err, want)
				}
			}
			if v := m.View(r.Context()); v.Epoch != 2 || v.Manifest.Root() != one.Root || v.Release.ID != 2 {
				t.Errorf("%+v", v)
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		second := l.nodes[0].get("/")
		if second == first || !strings.HasPrefix(second, "200 two ") {
			t.Error(second)
		}
		for _, n := range l.nodes {
			if got := n.get("/"); got != second {
				t.Errorf("%s answers %s, and not %s", n.name, got, second)
			}
		}
		// Back, which the browser has to see as something newer.
		if _, err := l.nodes[2].manager.Rollback(t.Context(), configsync.Write{Epoch: 3}, 2); err != nil {
			t.Error(err)
		}
		if got := l.nodes[1].get("/"); !strings.HasPrefix(got, "200 one ") || got == first {
			t.Errorf("%s after %s", got, first)
		}
		if d.asked != 6 { // twice on each of three nodes, and not to go back
			t.Errorf("fetched %d times", d.asked)
		}
		time.Sleep(2 * time.Second)
		if !slices.Contains(d.keep, one.Root) || len(d.keep) != 2 {
			t.Errorf("kept: %v", d.keep)
		}
	})
}

// TestContentThatIsNotThere: one node cannot have it, and so nobody shows it; who was away opens when it has it.
func TestContentThatIsNotThere(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		depots := map[string]*depot{}
		l := newLab(t, 3, func(s *configsync.Settings) {
			depots[s.Node] = newDepot()
			s.Content = depots[s.Node]
		})
		add := func(text string) (c *configsync.Content) {
			for _, d := range depots {
				c = d.add(t, "public/index.html", text)
			}
			return c
		}
		if _, err := l.nodes[0].putContent(add("one")); err != nil {
			t.Fatal(err)
		}
		depots["n2"].mu.Lock()
		depots["n2"].fails = errors.New("nobody has blob 123")
		depots["n2"].mu.Unlock()
		if _, err := l.nodes[0].putContent(add("two")); !errors.Is(err, configsync.ErrRefused) ||
			!strings.Contains(err.Error(), "n2: content: nobody has blob 123") {
			t.Error(err)
		}
		for _, n := range l.nodes {
			if got := n.get("/"); !strings.HasPrefix(got, "200 one ") {
				t.Errorf("%s shows %s", n.name, got)
			}
		}
		n2 := l.nodes[1]
		n2.cutOff(true)
		if _, err := l.nodes[0].putContent(add("three")); err != nil {
			t.Error(err)
		}
		n2.cutOff(false)
		if err := n2.manager.Usable(); !errors.Is(err, configsync.ErrBehind) {
			t.Error(err)
		}
		began := time.Now()
		if got := n2.get("/"); !strings.HasPrefix(got, "200 one ") || time.Since(began) > time.Second {
			t.Errorf("%s after %v", got, time.Since(began))
		}
		if st := n2.manager.Status(); !strings.Contains(st.Problem, "release 3 of epoch 2: content: nobody has blob 123") {
			t.Errorf("%+v", st)
		}
		depots["n2"].mu.Lock()
		depots["n2"].fails, depots["n2"].delays = nil, 3*time.Second
		depots["n2"].mu.Unlock()
		if err := n2.manager.AwaitUsable(t.Context()); err != nil {
			t.Error(err)
		}
		if got := n2.get("/"); !strings.HasPrefix(got, "200 three ") {
			t.Error(got)
		}
	})
}

// TestRetainedReleasesAreReady: a node that was started again has what pages of the releases before need, and goes
// back without fetching anything; and a rollout does not wait for that.
func TestRetainedReleasesAreReady(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		depots := map[string]*depot{}
		l := newLab(t, 2, func(s *configsync.Settings) {
			if depots[s.Node] == nil {
				depots[s.Node] = newDepot()
			}
			s.Content = depots[s.Node]
		})
		for _, text := range []string{"one", "two", "three", "four"} {
			var c *configsync.Content
			for _, d := range depots {
				c = d.add(t, "public/index.html", text)
			}
			if _, err := l.nodes[0].putContent(c); err != nil {
				t.Fatal(err)
			}
		}
		n2, d := l.nodes[1], depots["n2"]
		asked := func() int {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.asked
		}
		n2.stop()
		d.mu.Lock()
		d.asked = 0
		d.mu.Unlock()
		n2.start()
		time.Sleep(time.Minute)
		if n := asked(); n != 3 { // four, three and two
			t.Errorf("asked %d times", n)
		}
		n2.stop()
		n2.start()
		if err := n2.manager.AwaitUsable(t.Context()); err != nil {
			t.Error(err)
		}
		d.mu.Lock()
		d.asked, d.delays = 0, 40*time.Second
		d.mu.Unlock()
		begun := time.Now()
		if _, err := l.nodes[0].manager.Rollback(t.Context(), configsync.Write{Epoch: 4}, 3); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 45*time.Second { // one fetch, and not one after another
			t.Errorf("it took %v", took)
		}
	})
}

// testSigner signs for every node of a test.
type testSigner struct{}

func (testSigner) Sign(message []byte) []byte {
	sum := blob.Sum(append([]byte("test key"), message...))
	return sum[:]
}

func (s testSigner) Verify(message, signature []byte) bool {
	return bytes.Equal(s.Sign(message), signature)
}

// TestPageAndWhatItNeedsAreOfOneRelease: the page was loaded before a switch, and its styles come after, from another
// node.
func TestPageAndWhatItNeedsAreOfOneRelease(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDepot()
		l := newLab(t, 3, func(s *configsync.Settings) {
			s.Content, s.Pins = d, &content.Pins{Signer: testSigner{}}
		})
		publish := func(text string) {
			t.Helper()
			if _, err := l.nodes[0].putContent(d.add(t, "public/index.html", text, "public/s.css", text)); err != nil {
				t.Fatal(err)
			}
		}
		get := func(n *labNode, path, dest string, cookies []*http.Cookie) (string, []*http.Cookie, bool) {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Sec-Fetch-Dest", dest)
			for _, c := range cookies {
				r.AddCookie(c)
			}
			w := httptest.NewRecorder()
			n.manager.Handler(n.manager.Content()).ServeHTTP(w, r)
			return w.Body.String(), w.Result().Cookies(), n.manager.Behind(r)
		}
		publish("one")
		page, cookies, _ := get(l.nodes[0], "/", "document", nil)
		if page != "one" || len(cookies) != 1 {
			t.Fatalf("%s, %v", page, cookies)
		}
		publish("two")
		for path, want := range map[string]string{"/s.css": "one", "/": "two"} {
			dest := map[string]string{"/s.css": "style", "/": "document"}[path]
			if got, _, behind := get(l.nodes[1], path, dest, cookies); got != want || behind {
				t.Errorf("%s: got %s, want %s; behind: %v", path, got, want, behind)
			}
		}
		if got, _, _ := get(l.nodes[1], "/s.css", "style", nil); got != "two" {
			t.Errorf("without a pin: %s", got)
		}
		// A node that has not heard of a release yet sends its clients to others.
		l.nodes[1].cutOff(true)
		publish("three")
		_, cookies, _ = get(l.nodes[0], "/", "document", nil)
		if _, _, behind := get(l.nodes[1], "/s.css", "style", cookies); !behind {
			t.Error("it does not see that it is behind")
		}
	})
}

// TestContentThatIsGone: if the content in force is to be had from nobody any more, the nodes say so, and another
// release can still be put in force.
func TestContentThatIsGone(t *testing.T) {
	for _, fails := range []error{nil, configsync.ErrUnavailable} {
		bubble.Test(t, func(t *testing.T) {
			d := newDepot()
			l := newLab(t, 3, func(s *configsync.Settings) { s.Content = d })
			one := d.add(t, "public/index.html", "one")
			if _, err := l.nodes[0].putContent(one); err != nil {
				t.Fatal(err)
			}
			for _, n := range l.nodes {
				n.stop()
			}
			d.lose(one, fails)
			for _, n := range l.nodes {
				n.start()
			}
			time.Sleep(time.Minute)
			for _, n := range l.nodes {
				switch err := n.manager.Usable(); {
				case !errors.Is(err, configsync.ErrBehind):
					t.Errorf("%s: %v", n.name, err)
				case fails != nil && !errors.Is(err, fails):
					t.Errorf("%s does not say why: %v", n.name, err)
				}
			}
			begun := time.Now()
			if _, err := l.nodes[1].putContent(d.add(t, "public/index.html", "two")); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			for _, n := range l.nodes {
				if got := n.get("/"); n.manager.Usable() != nil || !strings.HasPrefix(got, "200 two ") {
					t.Errorf("%s shows %s", n.name, got)
				}
			}
		})
	}
}

// TestContentThatIsNotKept: a release whose content no node has any more is refused at once, and holds nothing up.
func TestContentThatIsNotKept(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDepot()
		l := newLab(t, 3, func(s *configsync.Settings) { s.Content = d })
		m := l.nodes[0].manager
		first := d.add(t, "public/index.html", "1")
		if _, err := l.nodes[0].putContent(first); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"2", "3", "4"} {
			if _, err := l.nodes[0].putContent(d.add(t, "public/index.html", text)); err != nil {
				t.Fatal(err)
			}
		}
		w := configsync.Write{Epoch: 4, Who: "me"}
		d.lose(first, configsync.ErrUnavailable)
		begun, rollouts := time.Now(), len(m.Rollouts())
		for _, do := range []func() error{
			func() error { _, err := m.Activate(t.Context(), w, 1, configsync.Plan{}); return err },
			func() error { _, err := m.Rollback(t.Context(), w, 1); return err },
			func() error { _, err := m.DryRunRelease(t.Context(), w, 1, configsync.Plan{}); return err },
			func() error {
				_, err := m.StartCanary(t.Context(), w, 1, []string{"n2"}, configsync.Plan{})
				return err
			},
		} {
			if err := do(); !errors.Is(err, configsync.ErrUnavailable) || !strings.Contains(err.Error(), "publish it again") {
				t.Error(err)
			}
		}
		if took := time.Since(begun); took > 10*time.Second || len(m.Rollouts()) != rollouts {
			t.Errorf("it took %v, and there are %d rollouts", took, len(m.Rollouts()))
		}
		d.lose(nil, nil) // somebody has it after all
		if r, err := m.Activate(t.Context(), w, 1, configsync.Plan{}); err != nil || r.Epoch != 5 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestCanaryThatWasEndedIsKept: what somebody gave up that did well can be put in force later, without being published
// again; what was taken back is kept for its open pages alone, until the next switch.
func TestCanaryThatWasEndedIsKept(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d, ill := newDepot(), atomic.Bool{}
		l := newLab(t, 3, func(s *configsync.Settings) {
			s.Content = d
			s.SelfCheck = func(context.Context) error {
				if ill.Load() {
					return errors.New("ill")
				}
				return nil
			}
		})
		m := l.nodes[0].manager
		if _, err := l.nodes[0].putContent(d.add(t, "public/index.html", "1")); err != nil {
			t.Fatal(err)
		}
		two := d.add(t, "public/index.html", "2")
		if _, err := m.Publish(t.Context(), configsync.Publication{Write: configsync.Write{Epoch: 1}, Content: two,
			Plan: configsync.Plan{Nodes: []string{"n2"}}}); err != nil {
			t.Fatal(err)
		}
		kept := func() bool {
			time.Sleep(time.Second)
			d.mu.Lock()
			defer d.mu.Unlock()
			return slices.Contains(d.keep, two.Root)
		}
		if err := m.EndCanary(t.Context(), m.Canary().Rollout, "me", "seen enough"); err != nil || !kept() {
			t.Errorf("the content of an ended canary is not kept; %v", err)
		}
		ill.Store(true)
		if _, err := m.Activate(t.Context(), configsync.Write{Epoch: 1}, 2, configsync.Plan{}); !errors.Is(err,
			configsync.ErrReturned) || !kept() {
			t.Errorf("what was taken back is not kept for its pages; %v", err)
		}
		ill.Store(false)
		if _, err := l.nodes[0].putContent(d.add(t, "public/index.html", "3")); err != nil || kept() {
			t.Errorf("what was taken back is kept after the next switch; %v", err)
		}
	})
}

// TestContentThatIsAwayForAMoment: a rollout waits for content that nobody has yet.
func TestContentThatIsAwayForAMoment(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDepot()
		l := newLab(t, 3, func(s *configsync.Settings) { s.Content = d })
		one := d.add(t, "public/index.html", "one")
		d.lose(one, configsync.ErrUnavailable)
		time.AfterFunc(time.Minute, func() { d.lose(nil, nil) })
		if _, err := l.nodes[0].putContent(one); err != nil {
			t.Fatal(err)
		}
		for _, n := range l.nodes {
			if got := n.get("/"); !strings.HasPrefix(got, "200 one ") {
				t.Errorf("%s shows %s", n.name, got)
			}
		}
	})
}

// TestContentIsChecked: what the program of one node has against a content refuses it before anything is switched,
// whether it says so, panics or hangs.
func TestContentIsChecked(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDepot()
		checks := func(ctx context.Context, files fs.FS) error {
			b, err := fs.ReadFile(files, "templates/x")
			switch string(b) {
			case "{{if}}":
				return errors.New("missing value for if")
			case "panic":
				panic("of a template")
			case "hang":
				<-ctx.Done()
				<-ctx.Done()
				return ctx.Err()
			}
			return err
		}
		l := newLab(t, 3, func(s *configsync.Settings) {
			if s.Content = d; s.Node == "n2" {
				s.CheckContent = checks
			}
		})
		l.mustPublish("banner: a\n") // has no content to look at
		if _, err := l.nodes[0].putContent(d.add(t, "public/index.html", "one", "templates/x", "{{one}}")); err != nil {
			t.Fatal(err)
		}
		before := l.nodes[2].get("/")
		for text, want := range map[string]string{"{{if}}": "n2: content: missing value for if", "panic": "of a template",
			"hang": "n2: content: "} {
			_, err := l.nodes[0].putContent(d.add(t, "public/index.html", "two", "templates/x", text))
			if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
			for _, n := range l.nodes {
				if now := n.manager.Status().Epoch; now != 2 || n.get("/") != before {
					t.Errorf("%s: epoch %d, %s", text, now, n.get("/"))
				}
			}
		}
		l.mustPublish("banner: b\n") // the content of a release that is refused stands in nobody's way
		l.want("b")
	})
}
