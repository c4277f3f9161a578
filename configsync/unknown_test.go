package configsync_test

import (
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// TestNodeStopsDuringARollout: who asks a node that stops while a rollout goes on is not told that nothing has changed;
// with the same key, any other node knows how it ends.
func TestNodeStopsDuringARollout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDepot()
		d.delays = time.Minute
		l := newLab(t, 3, func(set *configsync.Settings) { set.Content = d })
		c := d.add(t, "public/a", "1")
		publish := func(n *labNode) error {
			r, err := n.manager.Publish(t.Context(), configsync.Publication{Content: c, Write: configsync.Write{Key: "one"}})
			if err == nil && r.Epoch != 1 {
				t.Errorf("%+v", r)
			}
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- publish(l.nodes[2]) }()
		time.Sleep(time.Second)
		l.nodes[2].stop()
		if err := <-ended; !errors.Is(err, configsync.ErrUncertain) {
			t.Errorf("%v", err)
		}
		if err := publish(l.nodes[0]); err != nil {
			t.Error(err)
		}
		if n := l.nodes[0].manager.Status().Epoch; n != 1 {
			t.Errorf("epoch %d", n)
		}
	})
}
