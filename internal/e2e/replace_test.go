package e2e

import (
	"fmt"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// Three machines are replaced, one after the other, by new ones with other names and empty disks, as the README says: a new one
// is started, and when it is ready an old one is stopped. Writes go on, and no request is cut off. Nothing else is waited for.
func TestReplace(t *testing.T) {
	plain(t)
	both(t, func(t *testing.T, durable bool) {
		if !durable && !ci.Torture() {
			t.Skip("in memory by make torture; the script replaced_in_turn has both")
		}
		f := newFarm(t, 6, durable)
		old, fresh := f.nodes[:3:3], f.nodes[3:]
		f.nodes = old
		f.formTogether()
		l := f.load()
		l.mark()
		for i, n := range fresh {
			n.start(n.others()...)
			n.awaitReady()
			l.send(n)
			f.nodes = append(f.nodes, n)
			old[i].stop()
			f.nodes = f.nodes[1:]
			l.more(20)
		}
		f.settleUnderLoad()
		l.measured("three replaced")
		l.finish()
		if n := l.tally.cutOff(); n > 0 {
			t.Errorf("%d requests were cut off while nodes were replaced in order", n)
		}
		f.end()
	})
}

// Of three nodes one is killed, a new one comes, and at once another one is stopped: the last of the old ones could write nothing
// alone. The stop waits for the new one's vote, within the time that there is to drain.
func TestStopWaitsForRelief(t *testing.T) {
	scenario(t)
	if !ci.Torture() {
		t.Skip("by make torture; the script stop_waits_for_relief shows the same")
	}
	f := newFarm(t, 4, true)
	old, fresh := f.nodes[:3], f.nodes[3]
	f.nodes = old
	f.formTogether()
	old[0].kill()
	f.until("the death is noticed", func() error {
		for _, n := range old[1:] {
			if v, err := n.look(); err != nil || alive(v) != 2 {
				return fmt.Errorf("%s sees %+v, %v", n.name, v, err)
			}
		}
		return nil
	})
	fresh.start(old[1].peer, old[2].peer)
	f.until("the new one is seen", func() error {
		if v, err := old[1].look(); err != nil || alive(v) != 3 {
			return fmt.Errorf("it sees %+v, %v", v, err)
		}
		return nil
	})
	old[1].stop()
	f.nodes = []*node{old[2], fresh}
	l := f.load()
	l.finish()
	f.end()
}

func alive(v view) (n int) {
	for _, m := range v.Members {
		if m.Status == "alive" {
			n++
		}
	}
	return n
}
