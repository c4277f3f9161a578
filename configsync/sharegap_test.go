package configsync_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// TestPercentCanary_NodeThatHasNotHeard: a node was cut off before the canary began, and has the release since it was
// kept for later. It shows it to clients that have seen it, in pages of the program as in files.
func TestPercentCanary_NodeThatHasNotHeard(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 40)
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		two := l.hold("two")
		time.Sleep(time.Minute) // all make it ready
		l.nodes[1].cutOff(true)
		if err := l.start(two, 100); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, c := range l.clients {
				c.page = l.ask(c, l.nodes[0], "/", "document")
			}
		}
		if n := l.round(3, "two", "two>one"); n != len(l.clients) {
			t.Errorf("%d of %d clients are shown it", n, len(l.clients))
		}
	})
}

// TestPercentCanary_AfterManyRollouts: a canary goes on after many rollouts that have only tried out what its promotion
// would do. Its own rollout is kept, which says since when it is shown; also by a snapshot.
func TestPercentCanary_AfterManyRollouts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 10)
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		two := l.hold("two")
		if err := l.start(two, 100); err != nil {
			t.Fatal(err)
		}
		l.round(2, "two")
		m := l.nodes[0].manager
		for range 50 {
			if _, err := m.Activate(t.Context(), configsync.Write{Epoch: 1}, two, configsync.Plan{Dry: true}); err != nil {
				t.Fatal(err)
			}
		}
		l.nodes[1].stop()
		l.nodes[1].startFrom(l.snapshot(l.nodes[0]), len(l.log))
		for _, n := range l.nodes[:2] {
			by := n.manager.Rollouts()[0]
			if by.ID != m.Canary().Rollout || by.Plan.Percent != 100 || by.Switched.IsZero() {
				t.Errorf("%s has forgotten its rollout: the oldest is %+v", n.name, by)
			}
		}
		time.Sleep(time.Minute) // it makes all ready again
		if n := l.round(1, "two", "two>one"); n != len(l.clients) || m.Canary().Percent != 100 {
			t.Errorf("%d of %d clients are shown it, and the canary is %+v", n, len(l.clients), m.Canary())
		}
	})
}

// TestPercentCanary_NobodyHasMore: a second release that nobody has does not have nodes send clients to each other for
// that of the canary, which nobody has either.
func TestPercentCanary_NobodyHasMore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 10)
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		two := l.hold("two")
		l.hold("three")
		if err := l.start(two, 100); err != nil {
			t.Fatal(err)
		}
		l.round(2, "two")
		lost, other := l.add("two"), l.add("three")
		for _, n := range l.nodes {
			n.stop()
			d := l.depots[n.name]
			d.lose(lost, configsync.ErrUnavailable)
			delete(d.blobs, other.Root)
		}
		for _, n := range l.nodes {
			n.start()
		}
		time.Sleep(time.Second)
		for _, c := range l.clients {
			if got := l.ask(c, l.nodes[0], "/own", "document"); got != "one" {
				t.Errorf("%q", got)
			}
		}
	})
}

// TestPercentCanary_Dates: who remembers pages by their dates alone is shown what is in force when the canary is over.
func TestPercentCanary_Dates(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 0)
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		m, two := l.nodes[0].manager, l.hold("two")
		c, dated := &shareClient{cookies: map[string]*http.Cookie{}}, ""
		see := func(want string) {
			t.Helper()
			r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
			r.Header.Set("Sec-Fetch-Dest", "document")
			for _, k := range c.cookies {
				r.AddCookie(k)
			}
			if dated != "" {
				r.Header.Set("If-Modified-Since", dated)
			}
			m.Handler(m.Content()).ServeHTTP(w, r)
			for _, k := range w.Result().Cookies() {
				c.cookies[k.Name] = k
			}
			if got := w.Body.String(); got != want {
				t.Errorf("%d %q, and not %q", w.Code, got, want)
			}
			dated = w.Header().Get("Last-Modified")
		}
		see("one")
		for range 2 {
			if err := l.start(two, 100); err != nil {
				t.Fatal(err)
			}
			if len(c.cookies) == 0 || dated == "" {
				t.Fatal("nothing is remembered")
			}
			see("")    // not modified; it brings the draw
			see("two") // as its draw says
			see("")
			if err := m.EndCanary(t.Context(), m.Canary().Rollout, "me", "seen enough"); err != nil {
				t.Fatal(err)
			}
			see("one")
			see("")
		}
		three := l.hold("three")
		if _, err := m.Activate(t.Context(), configsync.Write{Epoch: 1}, three, configsync.Plan{}); err != nil {
			t.Fatal(err)
		}
		see("three")
	})
}

// TestPercentCanary_First: a node that is started again makes the canary ready before older releases, which may take
// long to come.
func TestPercentCanary_First(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 10)
		for _, text := range []string{"zero", "one"} {
			if _, err := l.nodes[0].putContent(l.add(text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.start(l.hold("two"), 100); err != nil {
			t.Fatal(err)
		}
		l.round(2, "two")
		n := l.nodes[2]
		n.stop()
		l.depots[n.name].lose(l.add("zero"), nil) // it is on its way, for as long as it takes
		n.start()
		time.Sleep(time.Second)
		if shown := l.round(2, "two", "two>one"); shown != len(l.clients) || l.declined > 0 {
			t.Errorf("%d of %d clients are shown it; %d times another node answered", shown, len(l.clients), l.declined)
		}
	})
}

// wantStyles has a client with a page of a release that was taken back load what the page needs, from all nodes.
func (l *shareLab) wantStyles(c *shareClient, want string) {
	l.t.Helper()
	for _, n := range l.nodes {
		if got := l.ask(c, n, "/s.css", "style"); got != want {
			l.t.Errorf("%s: the page is of %s, and its style of %s", n.name, want, got)
		}
	}
}

// TestPercentCanary_OpenPages: a canary is ended while pages of it are open. They stay whole until the next switch,
// whatever is kept for later, and on a node that is started again.
func TestPercentCanary_OpenPages(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 1)
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		if err := l.start(l.hold("two"), 100); err != nil {
			t.Fatal(err)
		}
		if l.round(2, "two") != 1 {
			t.Fatal("it is not shown")
		}
		m := l.nodes[0].manager
		if err := m.EndCanary(t.Context(), m.Canary().Rollout, "me", "seen enough"); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"three", "four", "five"} {
			l.hold(text)
		}
		l.nodes[2].stop()
		l.nodes[2].start()
		time.Sleep(time.Minute) // it makes ready what is kept
		l.wantStyles(l.clients[0], "two")
	})
}

// TestReturnedPagesStayWhole: the same for what was in force, and failed within its confirm window.
func TestReturnedPagesStayWhole(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 1)
		broken := make(chan struct{})
		for _, n := range l.nodes {
			n.stop()
			usual := n.settings
			n.settings = func(s *configsync.Settings) {
				usual(s)
				s.SelfCheck = func(ctx context.Context) error {
					if m := n.running(); m == nil || m.View(ctx).Release.ID != 2 {
						return nil
					}
					<-broken
					return errors.New("500")
				}
			}
			n.start()
		}
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		two, done := l.hold("two"), make(chan error)
		go func() {
			_, err := l.nodes[0].manager.Activate(t.Context(), configsync.Write{Epoch: 1}, two,
				configsync.Plan{Confirm: time.Minute})
			done <- err
		}()
		time.Sleep(5 * time.Second)
		if l.round(1, "two") != 1 {
			t.Error("it is not shown")
		}
		l.ask(l.clients[0], l.nodes[0], "/", "document")
		close(broken)
		if err := <-done; !errors.Is(err, configsync.ErrReturned) {
			t.Fatal(err)
		}
		l.wantStyles(l.clients[0], "two")
	})
}
