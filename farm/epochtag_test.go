package farm_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// A node that missed a switch shows nobody what it had as soon as it has heard of another node again, and not only
// when its log has come.
func TestEpochTag_BackInTouch(t *testing.T) {
	t.Parallel()
	farmtest.Config{Nodes: 3, Handler: banner, Configure: func(n *farmtest.Node, c *farm.Config) {
		c.Configs = []configsync.Declared{siteOf}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		if err := putConfig(f.Nodes[0], configsync.Files{"site.yaml": "banner: Old\n"}); err != nil {
			t.Fatal(err)
		}
		n := f.Others(f.Leader())[0]
		inTouch := func() bool {
			st := n.Farm().Cluster().State()
			for _, m := range st.Members {
				if m.ID != st.Self && m.Status == cluster.Alive {
					return true
				}
			}
			return false
		}
		old := 0
		for round := range 5 {
			f.Partition([]*farmtest.Node{n})
			time.Sleep(30 * time.Second)
			want := fmt.Sprint("New", round)
			if err := putConfig(f.Leader(), configsync.Files{"site.yaml": "banner: " + want + "\n"}); err != nil {
				t.Fatal(err)
			}
			f.Heal()
			for range 4000 {
				touched := inTouch()
				res, err := n.Client().Get(n.URL() + "/")
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if string(b) == want {
					break
				}
				if touched && res.StatusCode == 200 {
					old++
				}
				time.Sleep(5 * time.Millisecond)
			}
			if got := said(t, n, "/"); got != want {
				t.Errorf("it says %s, not %s", got, want)
			}
		}
		if old > 0 {
			t.Errorf("it answered %d times as before, and was in touch", old)
		}
	})
}
