package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// Damage that is found while a node runs ends its part at once. It joins anew when a leader says that the others are a quorum,
// and not before.
func TestDamageFoundLater(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			inLab(t, 3, durable, func(l *lab) {
				leader, others := l.leader()
				hurt, third := others[0], others[1]
				leader.must("set k v")
				before := hurt.instance().server
				l.cut(third)
				hurt.instance().corrupted(fmt.Errorf("%w: entry 7", raftlog.ErrGap))
				time.Sleep(time.Minute)
				if now := hurt.instance().server; now != before {
					t.Fatalf("without a quorum of the others it became %s", now)
				}
				l.net.Heal()
				l.until(time.Minute, "it joins anew", func() bool { return hurt.instance().server != before })
				l.until(time.Minute, "it votes again", func() bool { return len(l.nodes[0].instance().voters()) == 3 && hurt.get("k") == "v" })
				l.nodes[0].must("set k w")
			})
		})
	}
}

// The only node of a farm ends, and keeps what it has.
func TestDamageFoundLaterAlone(t *testing.T) {
	t.Parallel()
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		before := n.instance().server
		n.instance().corrupted(fmt.Errorf("%w: entry 7", raftlog.ErrGap))
		l.until(time.Minute, "it ends", func() bool { return damaging(n.Err()) })
		n.stop()
		n.start()
		l.ready(n)
		if now := n.instance().server; now != before {
			t.Errorf("it is %s, was %s", now, before)
		}
	})
}
