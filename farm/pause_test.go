package farm_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// A node that has lost the majority is not ready any more, serves whoever comes all the same, and is ready again
// by itself. One that is to stay ready does.
func TestFarm_Isolated(t *testing.T) {
	c := farmtest.Config{Nodes: 3, Handler: func(f *farm.Farm) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}, Configure: func(n *farmtest.Node, cfg *farm.Config) { cfg.ReadyWithoutQuorum = n.Name() == "n2" }}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		status := func(n *farmtest.Node, path string) int {
			t.Helper()
			res, err := n.Client().Get(n.URL() + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res.StatusCode
		}
		check := func(when string, ready ...int) {
			t.Helper()
			for i, want := range ready {
				if got := status(f.Nodes[i], "/readyz"); got != want {
					t.Errorf("%s: /readyz of %s is %d, not %d", when, f.Nodes[i], got, want)
				}
				if got := status(f.Nodes[i], "/"); got != 204 {
					t.Errorf("%s: %s answers %d", when, f.Nodes[i], got)
				}
			}
		}
		check("in calm", 200, 200, 200)
		f.Partition([]*farmtest.Node{f.Nodes[0]}, []*farmtest.Node{f.Nodes[1]}, []*farmtest.Node{f.Nodes[2]})
		time.Sleep(3 * time.Second)
		check("after a moment alone", 200, 200, 200)
		time.Sleep(15 * time.Second)
		check("alone", 503, 200, 503)
		f.Heal()
		f.Settle()
		time.Sleep(5 * time.Second)
		check("in touch again", 200, 200, 200)
	})
}

// A node that has lost the majority carries out no request of a strict route. Those of
// other routes it does.
func TestFarm_IsolatedStrict(t *testing.T) {
	t.Parallel()
	c := farmtest.Config{Nodes: 3, Handler: func(f *farm.Farm) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}, Configure: func(n *farmtest.Node, cfg *farm.Config) {
		cfg.Routes = []farm.Route{{Pattern: "/price/", Strict: true}}
		cfg.ReadyWithoutQuorum = true
	}}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		alone, other := f.Nodes[0], f.Nodes[1]
		check := func(when string, n *farmtest.Node, path string, want int) {
			t.Helper()
			if got, _ := n.Get(path); got != want {
				t.Errorf("%s: %s of %s is %d, not %d", when, path, n, got, want)
			}
		}
		check("in calm", alone, "/price/tea", http.StatusNoContent)
		f.Partition([]*farmtest.Node{alone})
		time.Sleep(15 * time.Second)
		check("alone", alone, "/price/tea", http.StatusServiceUnavailable)
		check("alone", alone, "/about", http.StatusNoContent)
		check("with the majority", other, "/price/tea", http.StatusNoContent)
		f.Heal()
		f.Settle()
		time.Sleep(5 * time.Second)
		check("in touch again", alone, "/price/tea", http.StatusNoContent)
	})
}

// A node that was alone already when it was paused goes on as it was: nobody could tell it more. One that was in touch
// until then answers nobody before it has heard what it missed.
func TestFarm_PausedAlone(t *testing.T) {
	t.Parallel()
	c := farmtest.Config{Nodes: 3, Handler: func(f *farm.Farm) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		n := f.Nodes[0]
		answers := func(when string, want int) {
			t.Helper()
			for range 2 { // the first one has to prove something
				if got, _ := n.Get("/"); got != want {
					t.Errorf("%s, it answers %d, not %d", when, got, want)
				}
			}
		}
		cutOff := func() { f.Partition([]*farmtest.Node{n}) }
		cutOff()
		time.Sleep(15 * time.Second)
		farm.Pause(n.Farm(), time.Minute)
		answers("alone, and then paused", http.StatusNoContent)
		f.Heal()
		f.Settle()
		time.Sleep(5 * time.Second)
		farm.Pause(n.Farm(), time.Minute)
		answers("paused, and in touch", http.StatusNoContent)
		cutOff()
		farm.Pause(n.Farm(), time.Minute)
		answers("in touch, and then paused", http.StatusServiceUnavailable)
		time.Sleep(15 * time.Second)
		answers("a while later", http.StatusServiceUnavailable)
		f.Heal()
		f.Settle()
		answers("in touch again", http.StatusNoContent)
	})
}
