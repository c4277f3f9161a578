package configsync_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// TestEpochAuthority: by a credential, by the farm's secret, by going back, and by what is not known any more are four
// answers.
func TestEpochAuthority(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newShelf(t)
		var unwell atomic.Bool
		l := newLab(t, 1, func(set *configsync.Settings) {
			s.settings(set)
			set.SelfCheck = func(context.Context) error {
				if unwell.Load() {
					return errors.New("GET /: 500")
				}
				return nil
			}
		})
		n := l.nodes[0]
		ci := newKey(t, "shop")
		mint(t, n.manager, ci)
		if _, err := n.publishContent(ci, s.m.Root(), sealOf(t, ci, s.m.Root())); err != nil {
			t.Fatal(err)
		}
		l.mustPublish("banner: b\n")
		unwell.Store(true)
		if _, err := n.publish(configsync.Plan{Confirm: time.Minute}, "site.yaml", "banner: c\n"); err == nil {
			t.Error("a release with which a node is not well is confirmed")
		}
		got := ""
		for _, e := range append(n.manager.Epochs(), configsync.Epoch{Number: 9, Rollout: 999}) {
			by, name := n.manager.EpochAuthority(e)
			got += fmt.Sprintf("%d %s %s\n", e.Number, by, name)
		}
		want := "1 credential " + n.manager.Credentials()[0].Name + "\n2 secret \n3 secret \n4 return \n9 unknown \n"
		if got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}
