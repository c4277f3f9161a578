package configsync_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

func TestPublishSwitchesAllNodes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		for i, banner := range []string{"one", "two", "three"} {
			r, err := l.nodes[i].publish(configsync.Plan{}, "site.yaml", "banner: "+banner+"\n")
			if err != nil || r.Epoch != uint64(i+1) || r.Release != r.Epoch || r.Rollout != r.Epoch {
				t.Fatalf("%+v %v", r, err)
			}
			l.want(banner)
		}
		p, err := l.nodes[1].manager.Rollout(0)
		if r := p.Rollout; err != nil || r.Phase != configsync.PhaseDone || strings.Join(r.Ready, " ") != "n1 n2 n3" ||
			len(r.Unconfirmed) != 0 {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// TestOneRefusalChangesNothing: one node's program does not know a field.
func TestOneRefusalChangesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		type Older struct{ Banner string }
		older := configsync.NewConfig("site", Older{})
		l := newLab(t, 3, func(s *configsync.Settings) {
			if s.Node == "n3" {
				s.Configs = []configsync.Declared{older, other}
			}
		})
		l.nodes[2].stop()
		l.nodes = l.nodes[:2]
		if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: one\n"); err != nil {
			t.Fatal(err)
		}
		n3 := &labNode{lab: l, name: "n3", settings: func(s *configsync.Settings) {
			s.Configs = []configsync.Declared{older, other}
		}}
		l.nodes = append(l.nodes, n3)
		n3.start()
		t.Cleanup(n3.stop)
		r, err := l.nodes[1].publish(configsync.Plan{}, "site.yaml", "banner: two\nlimits: {max: 3}\n")
		if !errors.Is(err, configsync.ErrRefused) || r.Epoch != 1 ||
			!strings.Contains(err.Error(), "n3: site.yaml:2:1: limits: unknown field") {
			t.Errorf("%+v %v", r, err)
		}
		for _, n := range l.nodes[:2] {
			if n.banner() != "one" || n.manager.Usable() != nil {
				t.Errorf("%s shows %s", n.name, n.banner())
			}
		}
		if got := older.Get(n3.manager.Context(context.Background())).Banner; got != "one" {
			t.Error(got)
		}
	})
}
