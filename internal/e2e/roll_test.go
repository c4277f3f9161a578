package e2e

import "testing"

// All nodes are stopped in order and started again, one after the other. Visitors notice nothing.
func TestRoll(t *testing.T) {
	both(t, func(t *testing.T, durable bool) {
		f := formed(t, durable)
		l := f.load()
		l.mark()
		for _, n := range f.nodes {
			n.stop()
			n.again()
			n.awaitReady()
			f.settleUnderLoad()
		}
		l.measured("roll")
		l.finish()
		if failed := l.tally.failed(); failed != "none" {
			t.Errorf("requests failed while nodes were stopped in order: %s", failed)
		}
		f.end()
	})
}
