package cluster

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// In memory a snapshot is the state itself: who joins later gets it as it is then, with the configuration as
// it is then.
func TestJoinerIsSentTheStateItself(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, _ := l.leader()
		leader.must("set k old")
		in := leader.instance()
		if err := in.guard(in.raft.Snapshot()); err != nil {
			t.Fatal(err)
		}
		listed, err := in.storage.snaps.List()
		if err != nil || len(listed) != 1 || listed[0].Size != 0 {
			t.Fatalf("the snapshot in memory: %+v, %v", listed, err)
		}
		old := listed[0].Index
		for i := range 4 { // each changes the configuration after the snapshot
			c := Config{Name: fmt.Sprintf("late%d", i), Tuning: Tuning{DeadAfter: -1}}
			n := l.joiner(fmt.Sprintf("10.0.0.%d", 10+i), c)
			l.ready(n)
			leader.must("set k%d %d", i, i)
			if err := in.tuner.setTrailing(1); err != nil {
				t.Fatal(err)
			}
			if err := in.guard(in.raft.Snapshot()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			leader.must("set k new%d", i)
			leader.must("set k new%d", i)
			l.until(time.Minute, "it has all", func() bool { return n.get("k") == fmt.Sprintf("new%d", i) })
			joined := n.instance()
			listed, err := joined.storage.snaps.List()
			if err != nil || i > 0 && (len(listed) != 1 || listed[0].Index <= old) {
				t.Errorf("joiner %d was sent %+v, %v", i, listed, err)
			}
			servers := func(c raft.Configuration) map[raft.ServerID]raft.ServerSuffrage {
				out := map[raft.ServerID]raft.ServerSuffrage{}
				for _, s := range c.Servers {
					out[s.ID] = s.Suffrage
				}
				return out
			}
			l.until(time.Minute, "it has the configuration", func() bool {
				return reflect.DeepEqual(servers(joined.configuration()), servers(in.configuration()))
			})
			defer n.stop()
		}
	})
}
