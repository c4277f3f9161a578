package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Damage that is found while a node runs ends its part at once. It joins anew when a leader says that the
// others are a quorum, and not before.
// Slow: a test that nothing happens without a quorum takes a minute, in memory and with disks.
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
				hurt.instance().breakage.corrupted(fmt.Errorf("%w: entry 7", raftlog.ErrNoSnapshot))
				time.Sleep(time.Minute)
				if now := hurt.instance().server; now != before {
					t.Fatalf("without a quorum of the others it became %s", now)
				}
				l.net.Heal()
				l.until(time.Minute, "it joins anew", func() bool { return hurt.instance().server != before })
				l.until(time.Minute, "it votes again",
					func() bool { return len(l.nodes[0].instance().voters()) == 3 && hurt.get("k") == "v" })
				l.nodes[0].must("set k w")
			})
		})
	}
}

// Acknowledged writes are only on the leader and in the log that is damaged: the third node is far behind, on
// a thin line. Until it has caught up the damaged log may be needed, although that node follows the leader.
// Slow: 8 MB go over a thin line.
func TestDamageFoundWhileAnotherIsBehind(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		hurt, third := others[0], others[1]
		l.net.Limit(leader.ip, third.ip, 128<<10)
		big := strings.Repeat("x", 400<<10)
		for i := range 20 {
			leader.must("set b%d %s", i, big)
		}
		leader.must("set last w")
		acknowledged := leader.Handle("kv").Applied()
		before := hurt.instance().server
		hurt.instance().breakage.corrupted(fmt.Errorf("%w: entry 7", raftlog.ErrNoSnapshot))
		for hurt.instance().server == before && third.instance().grown.last.Load() < acknowledged {
			time.Sleep(10 * time.Millisecond)
		}
		if had := third.instance().grown.last.Load(); had < acknowledged {
			t.Fatalf("it gave up its log when the third node had entries up to %d, and %d was acknowledged",
				had, acknowledged)
		}
		l.until(time.Minute, "it joins anew", func() bool { return hurt.instance().server != before })
		l.net.Limit(leader.ip, third.ip, 0)
		l.until(time.Minute, "it votes again",
			func() bool { return len(third.instance().voters()) == 3 && hurt.get("last") == "w" })
	})
}

// A voter counts for a quorum without the damaged node only if its log holds all that the leader's log holds:
// it ends at the same index, or behind it, in the leader's term. Entries of an earlier term may be other
// ones.
func TestQuorumWithout(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		first, others := l.leader()
		first.must("set k v")
		lead := first.instance().leading.now()
		for _, c := range []struct {
			s    stored
			want error
		}{
			{stored{lead.term, 9, lead.term}, nil},
			{stored{lead.term, 10, lead.term}, nil},
			{stored{lead.term, 8, lead.term}, errBehind},
			{stored{lead.term, 12, lead.term - 1}, errBehind},
			{stored{lead.term + 1, 12, lead.term}, wire.ErrNotLeader},
		} {
			if err := lead.proving.holds(c.s, 9); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v, want %v", c.s, err, c.want)
			}
		}
		if err := first.without(others[0], nil); err != nil {
			t.Error(err)
		}
		third := others[1].instance().server
		if err := first.without(others[0], func(voter string) bool { return voter != third }); err == nil {
			t.Error("the third has another state, and counted")
		}
	})
}

// A voter that runs an older program is not asked how far its log goes, and does not count.
func TestQuorumWithoutOfAnOlderProgram(t *testing.T) {
	t.Parallel()
	withLevels(t, []byte{2, 2, 2}, func(l *lab) {
		first, others := l.leader()
		if err := first.without(others[0], nil); err == nil {
			l.t.Error("the third has an older program, and counted")
		}
	})
}

// without asks the leader whether there is a quorum without another node.
func (n *labNode) without(other *labNode, meant func(voter string) bool) error {
	err, lead := wire.ErrNotLeader, n.instance().leading.now()
	lead.enter(func() bool {
		err = lead.proving.quorumWithout(other.instance().server, meant)
		return true
	})
	return err
}

// The only node of a farm finds damage. It ends, and keeps its data.
func TestDamageFoundLaterAlone(t *testing.T) {
	t.Parallel()
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		before := n.instance().server
		n.instance().breakage.corrupted(fmt.Errorf("%w: entry 7", raftlog.ErrNoSnapshot))
		l.until(time.Minute, "it ends", func() bool { return damaging(n.Err()) })
		n.stop()
		n.start()
		l.ready(n)
		if now := n.instance().server; now != before {
			t.Errorf("it is %s, was %s", now, before)
		}
	})
}
