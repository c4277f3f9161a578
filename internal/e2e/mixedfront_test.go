package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// A front of the one program forwards to nodes of the other, both ways, of the last release and of this tree:
// visitors who know the front alone are promised the same as ever, and none of their requests is cut off while a node
// is stopped in order and started again.
//
// Slow: two farms of four processes each, which run beside each other.
func TestMixedFront(t *testing.T) {
	scenario(t)
	if race.Enabled {
		t.Skip("the program of the last release has no race detector in it; this test is one of what nodes say to each other")
	}
	last := oldShop(t)
	for _, way := range []struct{ name, front, nodes string }{
		{"of the last release", last, ""},
		{"before the last release", "", last},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, 4, false)
			for _, n := range f.nodes {
				n.bin = way.nodes
			}
			front := f.nodes[3]
			front.bin, front.more, f.standby = way.front, []string{"-role", "front"}, 1
			f.form() // at the level that both programs speak, as in a farm that the older one has founded
			f.until("the front forwards", front.passesOn)
			l := f.newLoad()
			l.send(front)
			l.begin()
			n := f.follower()
			n.stop()
			n.again()
			n.awaitReady()
			f.settleUnderLoad()
			if err := front.passesOn(); err != nil {
				t.Error(err)
			}
			l.finish()
			if n := l.tally.cutOff(); n > 0 {
				t.Errorf("%d requests were cut off: %s", n, l.tally.failed())
			}
		})
	}
}

// passesOn reports if a request to the node does not run on another one.
func (n *node) passesOn() error {
	res, err := n.farm.client.Get(n.url() + "/api/whoami")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var who struct {
		Node      string
		Forwarded bool
	}
	if err := json.NewDecoder(res.Body).Decode(&who); err != nil {
		return fmt.Errorf("%s: %w", res.Status, err)
	}
	if who.Node == n.name || !who.Forwarded {
		return fmt.Errorf("%s says %+v", n.name, who)
	}
	return nil
}
