package e2e

import "testing"

// All nodes are stopped in order and started again, one after the other. No request is cut off.
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
		if n := l.tally.cutOff(); n > 0 {
			t.Errorf("%d requests were cut off while nodes were stopped in order", n)
		}
		f.end()
	})
}
