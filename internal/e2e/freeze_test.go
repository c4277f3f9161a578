//go:build unix

package e2e

import (
	"testing"
	"time"
)

// A leader that is frozen, for longer than the others wait for it, wakes up believing that it leads.
func TestFreezeLeader(t *testing.T) {
	both(t, func(t *testing.T, durable bool) {
		f := formed(t, durable)
		l := f.load()
		n := f.leader()
		l.strike(func() { n.signal(n.freeze) })
		asleep := time.After(8 * time.Second)
		l.goOn()
		l.measured("freeze")
		select {
		case <-asleep:
		case <-t.Context().Done():
		}
		l.strike(func() { n.signal(n.thaw) })
		n.awaitReady()
		f.settleUnderLoad()
		l.goOn()
		l.measured("thaw")
		l.finish()
		f.end()
	})
}
