package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// A peer went silent without a word. Whoever dials it for raft does not hold up the end of raft.
func TestClosedLayerDialsNoMore(t *testing.T) {
	t.Parallel()
	together(t, 2, false, func(l *lab) {
		l.ready(l.nodes...)
		from, to := l.nodes[0], l.nodes[1]
		layer := newStreamLayer(from.connections, from.self().server)
		l.cut(to)
		ended := make(chan error, 1)
		dial := func() {
			_, err := layer.Dial(raft.ServerAddress(to.self().server), time.Minute)
			ended <- err
		}
		go dial()
		synctest.Wait() // it hangs now
		begin := time.Now()
		layer.Close()
		if err := <-ended; err == nil || time.Since(begin) > 0 {
			t.Errorf("the dial under way ended %v after Close with %v", time.Since(begin), err)
		}
		dial()
		if err := <-ended; err == nil || time.Since(begin) > 0 {
			t.Errorf("a later dial ended %v after Close with %v", time.Since(begin), err)
		}
		l.net.Heal()
		l.agree()
	})
}

// The Raft of a leader that has lost sight of a follower ends as fast as any other, at whatever moment.
// Slow: many leaders, each with a follower that has to be missed.
func TestLeaderEndsBesideASilentFollower(t *testing.T) {
	t.Parallel()
	for after := 100 * time.Millisecond; after < 2*dialTimeout; after += 700 * time.Millisecond {
		t.Run(after.String(), func(t *testing.T) {
			together(t, 3, false, func(l *lab) {
				l.ready(l.nodes...)
				leader, others := l.leader()
				l.cut(others[0])
				time.Sleep(after)
				begin := time.Now()
				if err := leader.instance().standDown(); err != nil ||
					time.Since(begin) > drainPatience+100*time.Millisecond {
					t.Errorf("it ended after %v with %v", time.Since(begin), err)
				}
				leader.stop()
			})
		})
	}
}
