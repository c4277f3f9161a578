package farm_test

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// pinned is a client of a farm that keeps its pin.
type pinned struct{ pin, page string }

// TestPercentCanary: three nodes and a front show a release to a share of the visitors, in files and in pages of the
// program's own; a node is killed and comes again with nothing on its disk, another one is cut off from the rest and
// not from visitors. No visitor goes back, until the release is given up, and then all do.
func TestPercentCanary(t *testing.T) {
	t.Parallel()
	handler := func(f *farm.Farm) http.Handler {
		r := f.Router()
		r.Get("/own", func(w http.ResponseWriter, r *http.Request) {
			b, _ := fs.ReadFile(f.FS(r.Context()), "templates/name")
			w.Write(b)
		})
		r.Handle("/*", f.Content())
		return r
	}
	farmtest.Config{Nodes: 5, Handler: handler, Configure: func(n *farmtest.Node, c *farm.Config) {
		c.Session.Cookie.Insecure = true
		switch n.Name() {
		case "n4":
			c.Role = cluster.Front
		case "n5":
			c.Role = cluster.Staging
		}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		publish := func(text string, hold bool) uint64 {
			t.Helper()
			r, err := f.Nodes[4].Farm().Publish(t.Context(), siteFS("public/index.html", text, "public/s.css", text,
				"templates/name", text), farm.Publication{Hold: hold})
			if err != nil {
				t.Fatal(err)
			}
			return r.Release
		}
		rng := rand.New(rand.NewPCG(3, 4))
		ask := func(n *farmtest.Node, v *pinned, path, dest string) string {
			req, err := http.NewRequest(http.MethodGet, n.URL()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Sec-Fetch-Dest", dest)
			if v.pin != "" {
				req.AddCookie(&http.Cookie{Name: "rel", Value: v.pin})
			}
			res, err := n.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("%s%s: %s %s, %v", n, path, res.Status, b, err)
			}
			for _, c := range res.Cookies() {
				if c.Name == "rel" {
					v.pin = c.Value
				}
			}
			return string(b)
		}
		visitors := make([]pinned, 60)
		round := func(at []*farmtest.Node, forbidden string) (two int) {
			t.Helper()
			for i := range visitors {
				v := &visitors[i]
				n, path := at[rng.IntN(len(at))], []string{"/", "/own"}[rng.IntN(2)]
				page := ask(n, v, path, "document")
				if v.page+">"+page == forbidden {
					t.Errorf("%s%s: %s", n, path, forbidden)
				}
				if v.page = page; page == "two" {
					two++
				}
				if style := ask(at[rng.IntN(len(at))], v, "/s.css", "style"); style != page && v.pin != "" {
					t.Errorf("%s%s is of %s, and its style of %s", n, path, page, style)
				}
			}
			return two
		}
		publish("one", false)
		two := publish("two", true)
		all, m := f.Nodes[:4], f.Nodes[0].Farm().Configs()
		start := func(percent uint64) {
			t.Helper()
			w := configsync.Write{Epoch: m.Status().Epoch, Who: "test"}
			if _, err := m.StartPercentCanary(t.Context(), w, two, percent, configsync.Plan{}); err != nil {
				t.Fatal(err)
			}
		}
		start(50)
		if n := round(all, "two>one"); n != 0 {
			t.Errorf("%d visitors see it with their first page", n)
		}
		half := round(all, "two>one")
		if half < 30-5*4 || half > 30+5*4 { // five standard deviations
			t.Errorf("%d of %d visitors are half of them", half, len(visitors))
		}
		f.Nodes[2].Kill()
		f.Nodes[2].Restart() // in memory: it has lost all content
		if n := round(all, "two>one"); n != half {
			t.Errorf("%d visitors see it, and were %d", n, half)
		}
		f.Settle()
		f.Partition([]*farmtest.Node{f.Nodes[1]})
		start(80)
		for range 2 {
			round(f.Nodes[:3], "two>one")
		}
		f.Heal()
		f.Settle()
		more := round(all, "two>one")
		if more < 48-5*4 || more > 48+4*3 || more < half {
			t.Errorf("%d of %d visitors are 80 %% of them, and before there were %d", more, len(visitors), half)
		}
		if err := m.EndCanary(t.Context(), m.Canary().Rollout, "test", "seen enough"); err != nil {
			t.Fatal(err)
		}
		for i := range visitors {
			visitors[i].page = ask(f.Nodes[0], &visitors[i], "/", "document")
		}
		if n := round(all, "one>two"); n != 0 {
			t.Errorf("%d visitors see what was given up", n)
		}
		start(1)
		if r, err := m.Activate(t.Context(), configsync.Write{Epoch: 1}, two, configsync.Plan{}); err != nil || r.Epoch != 2 {
			t.Fatalf("%+v, %v", r, err)
		}
		time.Sleep(100 * time.Millisecond) // the others hear of it a moment later
		if n := round(all, "two>one"); n != len(visitors) {
			t.Errorf("in force, and shown to %d of %d", n, len(visitors))
		}
	})
}
