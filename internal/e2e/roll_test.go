package e2e

import "testing"

// All nodes are stopped in order and started again, one after the other.
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
		f.stop()
	})
}
