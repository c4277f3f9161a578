package cluster

import (
	"testing"
	"time"
)

// A write through a follower is applied there as soon as it is acknowledged, and not only when the leader
// next appends. In fake time, over a network without delay, that takes no time at all. Without the nudge it
// would do so only now and then, by chance.
func TestNudge(t *testing.T) {
	t.Parallel()
	together(t, 3, false, func(l *lab) {
		_, others := l.leader()
		l.ready(others...)
		others[0].must("set first 1")
		const writes = 20
		var late []time.Duration
		for i := range writes {
			time.Sleep(time.Second) // nothing else is under way, whose append would tell
			begin := time.Now()
			others[0].must("set k %d", i)
			if took := time.Since(begin); took > 0 {
				late = append(late, took)
			}
		}
		if len(late) > writes/4 {
			t.Errorf("%d of %d writes waited: %v", len(late), writes, late)
		}
	})
}
