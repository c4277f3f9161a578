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
