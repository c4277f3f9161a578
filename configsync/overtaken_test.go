package configsync_test

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// browser keeps the pin of its last page.
type browser struct {
	t   *testing.T
	pin *http.Cookie
}

func (b *browser) request(path string) *http.Request {
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Sec-Fetch-Dest", "document")
	if b.pin != nil {
		r.AddCookie(b.pin)
	}
	return r
}

// get returns what a node answers, which is asked for a file, or for /banner or /name: pages that the program makes of
// the configuration, and of a template.
func (b *browser) get(n *labNode, path string) string {
	m := n.manager
	mux := http.NewServeMux()
	mux.Handle("/", m.Content())
	mux.HandleFunc("/banner", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, site.Get(r.Context()).Banner) })
	mux.HandleFunc("/name", func(w http.ResponseWriter, r *http.Request) {
		text, _ := fs.ReadFile(m.FS(r.Context()), "name")
		w.Write(text)
	})
	w := httptest.NewRecorder()
	m.Handler(m.Repin(mux)).ServeHTTP(w, b.request(path))
	for _, c := range w.Result().Cookies() {
		b.pin = c
	}
	return w.Body.String()
}

// pinLab returns a farm whose pages say which release they are of, and what publishes the next one.
func pinLab(t *testing.T) (l *lab, publish func(text, banner string, hold bool) configsync.Result) {
	d := newDepot()
	l = newLab(t, 3, func(s *configsync.Settings) { s.Content, s.Pins = d, &content.Pins{Signer: testSigner{}} })
	return l, func(text, banner string, hold bool) configsync.Result {
		t.Helper()
		m := l.nodes[0].manager
		p := configsync.Publication{Hold: hold, Content: d.add(t, "public/index.html", text, "name", text),
			Config: configsync.Files{"site.yaml": "banner: " + banner}}
		p.Epoch = m.Status().Epoch
		r, err := m.Publish(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// TestOvertaken: a node has made a release ready, and has not heard yet that it was switched to. A client that has seen
// it elsewhere is not shown the configuration of before.
func TestOvertaken(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, publish := pinLab(t)
		publish("one", "red", false)
		b, late := &browser{t: t}, l.nodes[1]
		for _, c := range []struct{ text, banner string }{{"two", "red"}, {"three", "blue"}} {
			votes := 0
			l.set(func() {
				l.vote = func(*configsync.Vote) {
					if votes++; votes == 2 { // it and the other one have
						late.deaf = true
					}
				}
			})
			done := make(chan struct{})
			go func() {
				defer close(done)
				publish(c.text, c.banner, false)
			}()
			time.Sleep(time.Millisecond)
			if got := b.get(l.nodes[0], "/") + b.get(l.nodes[0], "/banner"); got != c.text+c.banner {
				t.Fatal(got)
			}
			if late.banner() == "blue" || late.manager.Status().Epoch == l.nodes[0].manager.Status().Epoch {
				t.Fatal("the node is not late")
			}
			if !late.manager.Behind(b.request("/banner")) {
				if got := b.get(late, "/name") + b.get(late, "/banner"); got != c.text+c.banner {
					t.Errorf("it shows %q to who has seen %s%s", got, c.text, c.banner)
				}
			} else if !late.overtaken(b.request("/banner")) {
				t.Error("it has not caught up, and takes the client")
			}
			late.muffle(false)
			<-done
			if late.overtaken(b.request("/banner")) {
				t.Error("it has caught up, and sends a client away")
			} else if got := b.get(late, "/name") + b.get(late, "/banner"); got != c.text+c.banner {
				t.Error(got)
			}
		}
	})
}

// TestOvertaken_Restored: an older backup is put back. Who has seen what is lost by that is shown what is in force, and
// not a release that was never switched to, which has the number of the lost one by now.
func TestOvertaken_Restored(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l, publish := pinLab(t)
		publish("one", "red", false)
		backup, applied := l.snapshot(l.nodes[0]), len(l.log)
		lost := publish("two", "blue", false)
		b := &browser{t: t}
		b.get(l.nodes[0], "/")
		for _, n := range l.nodes {
			n.stop()
		}
		l.set(func() { l.log, l.times = l.log[:applied], l.times[:applied] })
		for _, n := range l.nodes {
			n.startFrom(backup, applied)
		}
		if r := publish("held", "green", true); r.Release != lost.Release {
			t.Fatalf("release %d, and not %d", r.Release, lost.Release)
		}
		for range 2 {
			for _, n := range l.nodes {
				for path, want := range map[string]string{"/": "one", "/name": "one", "/banner": "red"} {
					if n.overtaken(b.request(path)) {
						t.Errorf("%s has nobody to answer it", path)
					}
					if got := b.get(n, path); got != want {
						t.Errorf("%s is %q, and not %q", path, got, want)
					}
				}
			}
		}
		if l.nodes[2].manager.Behind(b.request("/")) {
			t.Error("the client is still pinned to what is lost")
		}
		publish("three", "blue", false)
		if got := b.get(l.nodes[2], "/") + b.get(l.nodes[2], "/banner"); got != "threeblue" {
			t.Error(got)
		}
	})
}
