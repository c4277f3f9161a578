package farm_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
)

// A node whose connections have vanished while it made a release ready, such as one whose machine has
// started again, is asked anew; and nobody takes one that is only slow for such.
func TestReleases_VanishedConnection(t *testing.T) {
	t.Parallel()
	bubble.Test(t, testVanishedConnection)
}

func testVanishedConnection(t *testing.T) {
	network := memnet.New()
	begun := make(chan struct{}, 10)
	slow := siteOf.OnPrepare(func(context.Context, *siteConfig, *siteConfig) (commit, abort func(), err error) {
		begun <- struct{}{}
		time.Sleep(8 * time.Second)
		return nil, nil, nil
	})
	f := farmtest.Config{Nodes: 3, Configure: func(n *farmtest.Node, c *farm.Config) {
		c.Cluster.Network = network.Host(strings.TrimSuffix(c.Peer, ":7946"))
		c.Configs = []configsync.Declared{siteOf}
		c.Prepare = []configsync.Hook{slow}
	}}.New(t)
	leader := f.Leader()
	host := func(n *farmtest.Node) string { return strings.TrimPrefix(n.URL(), "http://") }
	for _, vanish := range []bool{false, true} {
		began, done := time.Now(), make(chan error, 1)
		go func() {
			done <- putConfig(leader, configsync.Files{"site.yaml": "banner: " + time.Now().String() + "\n"})
		}()
		for range f.Nodes {
			<-begun
		}
		time.Sleep(time.Second)
		if vanish { // of one alone, or another node would lead
			network.Forget(host(leader), host(f.Others(leader)[0]))
		}
		err := <-done
		if took := time.Since(began); err != nil || vanish != (took > 12*time.Second) || took > 40*time.Second {
			t.Errorf("vanish %v: %v after %v", vanish, err, took)
		}
	}
}
