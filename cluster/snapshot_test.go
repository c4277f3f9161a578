package cluster

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// firstIndex returns the first index that the node's log still has.
func (n *labNode) firstIndex() uint64 {
	first, err := n.instance().storage.store.FirstIndex()
	if err != nil {
		n.lab.t.Fatal(err)
	}
	return first
}

// Snapshots are taken by bytes, the log is cut behind them, and a node that was away for longer than the log
// reaches back gets the snapshot: with everything in it, the answers that origins may still ask for included.
// Slow: a thousand writes of a KiB, and as many again, so that snapshots are taken by bytes, twice.
func TestSnapshotByBytes(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			if race.Enabled && !durable {
				t.Skip("a thousand writes take the race detector a minute, and durable ones race no less")
			}
			unformed(t, 3, durable, func(l *lab) {
				l.symmetric()
				for _, n := range l.nodes {
					n.conf.Tuning.SnapshotBytes = 64 << 10
					n.start()
				}
				l.ready(l.nodes...)
				leader, others := l.leader()
				away := others[0]
				leader.must("append x 1")
				l.cut(away)
				value := bytes.Repeat([]byte("v"), 1<<10)
				for i := range 1000 {
					leader.must("set k%d %s", i, value)
				}
				l.until(10*time.Second, "the log is cut behind a snapshot",
					func() bool { return leader.firstIndex() > 100 })
				before := away.Stats().Snapshot.Restored
				l.net.Heal()
				away.must("append x 2")
				l.agree()
				if away.Stats().Snapshot.Restored == before {
					l.t.Error("the node that was away got no snapshot")
				}
				if got := away.get("x"); got != "1,2," {
					l.t.Errorf("x = %q", got)
				}
				away.stop()
				away.start() // durable: from the snapshot it was sent; memory: with another one
				l.ready(away)
				l.agree()
			})
		})
	}
}
