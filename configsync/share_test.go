package configsync_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// shareLab is a farm of three nodes, each with content of its own, and the clients of it.
type shareLab struct {
	*lab
	rng      *rand.Rand
	depots   map[string]*depot
	clients  []*shareClient
	declined int // requests that a node had another one answer
	days     atomic.Int64
}

// shareClient is a browser: it keeps its cookies, and notes what it was shown.
type shareClient struct {
	cookies map[string]*http.Cookie
	page    string // of which release its last page was; "" = it has none
}

func newShareLab(t *testing.T, clients int) *shareLab {
	l := &shareLab{rng: rand.New(rand.NewPCG(7, 11)), depots: map[string]*depot{}}
	var mu sync.Mutex
	draws := rand.New(rand.NewPCG(1, 2))
	now := func() time.Time { return time.Now().Add(time.Duration(l.days.Load())) }
	pins := &content.Pins{Signer: testSigner{}, Now: now, Draw: func() content.Draw {
		mu.Lock()
		defer mu.Unlock()
		return content.Draw(1 + draws.IntN(10_000))
	}}
	for i := range 3 {
		l.depots[[]string{"n1", "n2", "n3"}[i]] = newDepot()
	}
	l.lab = newLab(t, 3, func(s *configsync.Settings) { s.Content, s.Pins = l.depots[s.Node], pins })
	for range clients {
		l.clients = append(l.clients, &shareClient{cookies: map[string]*http.Cookie{}})
	}
	return l
}

// hold keeps a release for later; its pages and styles say which it is.
func (l *shareLab) hold(text string) (release uint64) {
	l.t.Helper()
	p := configsync.Publication{Hold: true, Content: l.add(text)}
	p.Epoch = l.nodes[0].manager.Status().Epoch
	r, err := l.nodes[0].manager.Publish(context.Background(), p)
	if err != nil {
		l.t.Fatal(err)
	}
	return r.Release
}

func (l *shareLab) add(text string) (c *configsync.Content) {
	for _, d := range l.depots {
		c = d.add(l.t, "public/index.html", text, "public/s.css", text, "name", text)
	}
	return c
}

func (l *shareLab) start(release, percent uint64) error {
	m := l.nodes[0].manager
	w := configsync.Write{Epoch: m.Status().Epoch, Who: "me"}
	_, err := m.StartPercentCanary(context.Background(), w, release, percent, configsync.Plan{})
	return err
}

// ask has a client ask a node, and another one if that is behind it, as package farm does.
func (l *shareLab) ask(c *shareClient, n *labNode, path, dest string) string {
	l.t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if dest != "" {
		r.Header.Set("Sec-Fetch-Dest", dest)
	} else {
		r.Header.Set("Accept", "text/html")
	}
	for _, k := range c.cookies {
		r.AddCookie(k)
	}
	for i := 0; n.overtaken(r); i++ {
		l.declined++
		if i == len(l.nodes) {
			l.t.Error("nobody answers")
			return ""
		}
		n = l.nodes[i]
	}
	m := n.manager
	own := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := fs.ReadFile(m.FS(r.Context()), "name") // what a template would be read from
		w.Write(b)
	})
	mux := http.NewServeMux()
	mux.Handle("/own", own)
	mux.Handle("/", m.Content())
	w := httptest.NewRecorder()
	m.Handler(m.Repin(mux)).ServeHTTP(w, r)
	for _, k := range w.Result().Cookies() {
		c.cookies[k.Name] = k
	}
	page := c.page != "" && dest != "style"
	if page && w.Header().Get("Cache-Control") != "private, no-cache" && m.Canary().Rollout != 0 {
		l.t.Errorf("%s may be kept by a cache for all: %v", path, w.Header())
	}
	return w.Body.String()
}

// overtaken reports whether another node has to answer a request, as package farm does.
func (n *labNode) overtaken(r *http.Request) bool {
	behind := n.manager.Behind(r) && n.manager.CatchUp(r.Context(), r) != nil
	return behind || n.manager.Behind(r) || n.manager.BehindContent(r)
}

// visit has a client load a page, and its style from another node; forbidden are the changes that nobody may see.
func (l *shareLab) visit(c *shareClient, forbidden ...string) {
	l.t.Helper()
	path := []string{"/", "/own"}[l.rng.IntN(2)]
	n := l.nodes[l.rng.IntN(3)]
	page := l.ask(c, n, path, []string{"document", ""}[l.rng.IntN(2)])
	for _, f := range forbidden {
		if c.page+">"+page == f {
			l.t.Errorf("%s: %s shows %s to a client that has seen %s", path, n.name, page, c.page)
		}
	}
	c.page = page
	if len(c.cookies) > 0 {
		if style := l.ask(c, l.nodes[l.rng.IntN(3)], "/s.css", "style"); style != page {
			l.t.Errorf("the page %s of %s is of %s, and its style of %s", path, n.name, page, style)
		}
	}
}

// round has all clients visit the farm, in an order by chance, and returns how many are shown a release.
func (l *shareLab) round(times int, release string, forbidden ...string) (shown int) {
	l.t.Helper()
	for range times {
		for _, i := range l.rng.Perm(len(l.clients)) {
			l.visit(l.clients[i], forbidden...)
		}
	}
	for _, c := range l.clients {
		if c.page == release {
			shown++
		}
	}
	return shown
}

// within checks that so many of the clients are so many percent, but for five standard deviations.
func (l *shareLab) within(shown int, percent float64) {
	l.t.Helper()
	n, p := float64(len(l.clients)), percent/100
	if off := math.Abs(float64(shown) - n*p); off > 5*math.Sqrt(n*p*(1-p)) {
		l.t.Errorf("%d of %v clients are shown it, which is no share of %v %%", shown, n, percent)
	}
}

// TestPercentCanary: a share of the clients is shown a release, on all nodes, the same on each; it is raised, given up,
// and promoted, while a node lags, and nobody sees a release go backwards.
func TestPercentCanary(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 600)
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		two := l.hold("two")
		time.Sleep(time.Minute)
		if l.round(1, "two") != 0 {
			t.Error("what is kept is shown")
		}
		if err := l.start(two, 10); err != nil {
			t.Fatal(err)
		}
		if shown := l.round(1, "two"); shown != 0 {
			t.Errorf("%d clients are shown it before they have shown that they keep what they drew", shown)
		}
		ten := l.round(3, "two", "two>one")
		l.within(ten, 10)
		in := map[*shareClient]bool{}
		for _, c := range l.clients {
			in[c] = c.page == "two"
		}
		l.nodes[1].cutOff(true) // it does not hear of the share being raised
		if err := l.start(two, 40); err != nil {
			t.Fatal(err)
		}
		l.within(l.round(4, "two", "two>one"), 40)
		if l.declined > 0 {
			t.Errorf("a node that has the release had others answer, %d times", l.declined)
		}
		for _, c := range l.clients {
			if in[c] && c.page != "two" {
				t.Error("a client that was in is out")
			}
		}
		l.nodes[1].cutOff(false)
		l.nodes[1].cutOff(true) // nor of the end
		m := l.nodes[0].manager
		if err := m.EndCanary(t.Context(), m.Canary().Rollout, "me", "seen enough"); err != nil {
			t.Fatal(err)
		}
		for _, c := range l.clients {
			c.page = l.ask(c, l.nodes[2], "/", "document")
			if c.page != "one" {
				t.Fatal("it was given up, and is shown")
			}
		}
		l.round(3, "two", "one>two")
		l.nodes[1].cutOff(false)
		if l.round(1, "one") != len(l.clients) {
			t.Error("not all have returned")
		}
		if err := l.start(two, 100); err != nil {
			t.Fatal(err)
		}
		if n := l.round(2, "two", "two>one"); n != len(l.clients) {
			t.Errorf("100 %% are %d of %d", n, len(l.clients))
		}
		if r, err := m.Activate(t.Context(), configsync.Write{Epoch: 1}, two, configsync.Plan{}); err != nil || r.Epoch != 2 {
			t.Fatalf("%+v, %v", r, err)
		}
		if n := l.round(2, "two", "two>one"); n != len(l.clients) || m.Canary().Rollout != 0 {
			t.Errorf("promoted, %d of %d", n, len(l.clients))
		}
		for _, n := range l.nodes {
			if string(l.snapshot(n)) != string(l.snapshot(l.nodes[0])) {
				t.Errorf("%s has another state", n.name)
			}
		}
	})
}

// TestPercentCanary_NodeWithoutIt: a node that is started again, and has not got the release yet, has others answer the
// clients that have seen it, shows the one in force to all others, and is in step once it has it.
func TestPercentCanary_NodeWithoutIt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 200)
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		two := l.hold("two")
		if err := l.start(two, 50); err != nil {
			t.Fatal(err)
		}
		half := l.round(3, "two", "two>one")
		l.within(half, 50)
		n := l.nodes[2]
		n.stop()
		lost := l.add("two")
		l.depots["n3"].lose(lost, nil) // it is on its way, for as long as it takes
		n.start()
		time.Sleep(time.Second)
		if err := n.manager.Usable(); err != nil {
			t.Fatalf("a canary keeps a node from serving: %v", err)
		}
		if why := n.manager.Status().CanaryProblem; why != "it is being made ready" {
			t.Errorf("the status says %q", why)
		}
		if shown := l.round(3, "two", "two>one"); shown != half || l.declined == 0 {
			t.Errorf("%d clients are shown it, and were %d; %d times another node answered", shown, half, l.declined)
		}
		fresh := &shareClient{cookies: map[string]*http.Cookie{}}
		for range 3 {
			if got := l.ask(fresh, n, "/", "document"); got != "one" {
				t.Errorf("a new client is shown %s", got)
			}
		}
		time.Sleep(time.Minute)
		if why := n.manager.Status().CanaryProblem; why != "it could not be made ready; that is tried again" {
			t.Errorf("the status says %q", why)
		}
		l.depots["n3"].lose(nil, nil)
		n.stop()
		n.start()
		time.Sleep(time.Second)
		if why := n.manager.Status().CanaryProblem; why != "" {
			t.Errorf("the status says %q", why)
		}
		l.declined = 0
		if shown := l.round(2, "two", "two>one"); shown != half || l.declined > 0 {
			t.Errorf("%d clients are shown it, and were %d; %d times another node answered", shown, half, l.declined)
		}
	})
}

// startAgainWithout shows a release to all clients, and then starts all nodes again. None of them can have it any
// more: because of err, or because it is on its way for ever (nil).
func (l *shareLab) startAgainWithout(err error) {
	l.t.Helper()
	if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
		l.t.Fatal(err)
	}
	if err := l.start(l.hold("two"), 100); err != nil {
		l.t.Fatal(err)
	}
	l.round(2, "two")
	lost := l.add("two")
	for _, n := range l.nodes {
		n.stop()
		l.depots[n.name].lose(lost, err)
	}
	for _, n := range l.nodes {
		n.start()
	}
}

// TestPercentCanary_NobodyHasIt: if all nodes are started again, and the release is to be had from nobody, the site
// goes on with what is in force, and with the release when it is there again.
func TestPercentCanary_NobodyHasIt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 50)
		l.startAgainWithout(configsync.ErrUnavailable)
		time.Sleep(time.Second)
		if n := l.round(1, "one"); n != len(l.clients) {
			t.Errorf("%d of %d clients are shown what is in force", n, len(l.clients))
		}
		for _, n := range l.nodes {
			l.depots[n.name].lose(nil, nil)
		}
		time.Sleep(30 * time.Second)
		if n := l.round(2, "two", "two>one"); n != len(l.clients) {
			t.Errorf("%d of %d clients are shown the release again", n, len(l.clients))
		}
	})
}

// TestPercentCanary_OfContentAlone: other configuration is not for a share of the clients, and the error says what is
// to be done. The views of all clients have the configuration in force.
func TestPercentCanary_OfContentAlone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 0)
		m := l.nodes[0].manager
		one := l.hold("one")
		if err := l.start(one, 10); !errors.Is(err, configsync.ErrContentOnly) ||
			!strings.Contains(err.Error(), "put a release with content in force first") {
			t.Error(err)
		}
		if _, err := m.Activate(t.Context(), configsync.Write{}, one, configsync.Plan{}); err != nil {
			t.Fatal(err)
		}
		p := configsync.Publication{Hold: true, Content: l.add("two"), Config: configsync.Files{"site.yaml": "banner: b\n"}}
		p.Epoch = 1
		r, err := m.Publish(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		before := string(l.snapshot(l.nodes[0]))
		if err := l.start(r.Release, 10); !errors.Is(err, configsync.ErrContentOnly) ||
			!strings.Contains(err.Error(), "on some nodes instead (-nodes)") {
			t.Error(err)
		}
		p.Hold, p.Plan.Percent = false, 10
		if _, err := m.Publish(t.Context(), p); !errors.Is(err, configsync.ErrContentOnly) {
			t.Error(err)
		}
		for _, percent := range []uint64{0, 101} {
			if err := l.start(r.Release, percent); err == nil || !strings.Contains(err.Error(), "1 to 100 percent") {
				t.Error(err)
			}
		}
		if err := l.start(one, 10); err == nil || !strings.Contains(err.Error(), "in force, for all clients") {
			t.Error(err)
		}
		if string(l.snapshot(l.nodes[0])) != before {
			t.Error("what was refused is in the log")
		}
		two := l.hold("two")
		for _, percent := range []uint64{20, 30} {
			if err := l.start(two, percent); err != nil {
				t.Error(err)
			}
		}
		if err := l.start(two, 10); !errors.Is(err, configsync.ErrBusy) ||
			!strings.Contains(err.Error(), "for 30 % of the clients") {
			t.Error(err)
		}
		if err := tryPut(m, "site.yaml", "banner: c\n"); !errors.Is(err, configsync.ErrBusy) {
			t.Error(err)
		}
		if st := l.nodes[1].manager.Status(); st.Canary || st.Release != one || m.Canary().Percent != 30 {
			t.Errorf("%+v, %+v", st, m.Canary())
		}
	})
}

// TestPercentCanary_SelfCheck: within the confirm window the self-check sees what the share of the clients is shown,
// and what fails is taken back from all.
func TestPercentCanary_SelfCheck(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 20)
		for _, n := range l.nodes {
			n.stop()
			usual := n.settings
			n.settings = func(s *configsync.Settings) {
				usual(s)
				s.SelfCheck = func(ctx context.Context) error {
					b, err := fs.ReadFile(n.running().FS(ctx), "name")
					if string(b) == "bad" {
						err = errors.New("500")
					}
					return err
				}
			}
			n.start()
		}
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		bad := l.hold("bad")
		if err := l.start(bad, 100); !errors.Is(err, configsync.ErrReturned) || !strings.Contains(err.Error(), "500") {
			t.Error(err)
		}
		if l.round(3, "one") != len(l.clients) || l.nodes[0].manager.Canary().Rollout != 0 {
			t.Error("it is shown still")
		}
		if err := l.start(l.hold("two"), 100); err != nil {
			t.Error(err)
		}
		if l.round(2, "two") != len(l.clients) {
			t.Error("the next one is not shown")
		}
	})
}

// A client that keeps no cookies sees what is in force, always; and one that comes again after days what it saw.
func TestPercentCanary_Clients(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 40)
		if _, err := l.nodes[0].putContent(l.add("one")); err != nil {
			t.Fatal(err)
		}
		if err := l.start(l.hold("two"), 50); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if got := l.ask(&shareClient{cookies: map[string]*http.Cookie{}}, l.nodes[0], "/own", "document"); got != "one" {
				t.Errorf("without cookies: %s", got)
			}
		}
		shown := l.round(3, "two", "two>one")
		for _, days := range []time.Duration{3, 20, 20} {
			l.days.Add(int64(days * 24 * time.Hour))
			if n := l.round(1, "two", "two>one"); n != shown {
				t.Errorf("%d clients are shown it, and were %d", n, shown)
			}
		}
	})
}

// TestPercentCanary_HangsForAll: if all nodes are started again, and each waits for the release without end, the
// clients that have seen it are shown what is in force after ten seconds. Until then each node sends them to the
// others.
func TestPercentCanary_HangsForAll(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newShareLab(t, 50)
		l.startAgainWithout(nil)
		time.Sleep(11 * time.Second)
		l.declined = 0
		if n := l.round(1, "one"); n != len(l.clients) || l.declined > 0 {
			t.Errorf("%d of %d clients are shown what is in force; %d requests were sent to other nodes", n, len(l.clients),
				l.declined)
		}
	})
}
