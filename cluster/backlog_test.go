package cluster

import (
	"testing"
	"time"
)

// opened returns how many connections from other nodes a node's Raft has.
func (n *labNode) opened() (count int) {
	l := n.instance().layer
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if c.to == "" {
			count++
		}
	}
	return count
}

// The state machine of a follower hangs, and the leader tries again and again to send it the log. The
// follower keeps a few of these connections, and not one for each attempt. When that leader is gone, the same
// is so with the next one.
//
// Slow: minutes of a farm of four are simulated, in which a node is called again and again.
func TestHangingMachineKeepsFewConnections(t *testing.T) {
	t.Parallel()
	unformed(t, 4, false, func(l *lab) {
		hangs := make(chan struct{})
		for i, n := range l.nodes {
			n.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
				m := &kv{M: map[string]string{}}
				if i == 3 {
					m.Applying = func() { <-hangs }
				}
				return m
			}}
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			if i < 3 {
				n.start()
			}
		}
		l.ready(l.nodes[:3]...)
		follower := l.nodes[3]
		follower.start()
		leader, _ := l.leader(l.nodes[:3]...)
		watch := func(why string) {
			most := 0
			for range 30 {
				leader.must("set x 1")
				time.Sleep(3 * time.Second)
				most = max(most, follower.opened())
			}
			if t.Logf("%s: %d connections", why, most); most > 10 {
				l.t.Errorf("%s: %d connections", why, most)
			}
		}
		for i := range 400 { // more than raft's queue to the machines holds
			leader.must("set x %d", i)
		}
		watch("the log")
		leader.stop()
		leader, _ = l.leader(l.nodes[:3]...)
		watch("another leader")
		close(hangs)
		l.ready(follower)
	})
}
