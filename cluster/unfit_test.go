package cluster

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// order is what a leader sends to a node whose copy is wrong, as answerResync takes it.
func (n *labNode) order(leader *labNode) error {
	payload := wire.AppendString(wire.AppendString(nil, n.instance().server), "somebody says so")
	return n.mending.answerResync(wire.Hello{Source: leader.instance().server}, payload)
}

// oddOne sends this order to one of three nodes. Only that node and the leader have what was acknowledged:
// the third is cut off.
func (l *lab) oddOne() (leader, odd, third *labNode, in *instance) {
	l.t.Helper()
	leader, others := l.leader()
	odd, third = others[0], others[1]
	l.cut(third)
	leader.must("set k v")
	in = odd.instance()
	if err := odd.order(leader); err != nil {
		l.t.Fatal(err)
	}
	return leader, odd, third, in
}

// A node whose copy is wrong stops first, and gives nothing up before a leader says that the others have all
// of the log without it. Here one of the others is cut off when the order comes, as from a leader that asked
// a moment before.
// Slow: a copy is told and asks, in memory and with disks.
func TestWrongCopyStopsFirst(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			inLab(t, 3, durable, func(l *lab) {
				leader, odd, _, in := l.oddOne()
				if _, err := odd.reads.answerTerm([]byte(in.server)); !errors.Is(err, wire.ErrNotMe) {
					t.Errorf("it still confirms its leader's term: %v", err)
				}
				if _, err := in.storage.stored(); !errors.Is(err, wire.ErrNotMe) {
					t.Errorf("its log still counts: %v", err)
				}
				if err := leader.propose(time.Second, "set k w"); err == nil {
					t.Error("its word for an entry still counts")
				}
				if odd.fit.ready() || odd.fit.staleness() != math.MaxInt64 {
					t.Errorf("it is still read: ready %v, %v behind", odd.fit.ready(), odd.fit.staleness())
				}
				time.Sleep(20 * time.Second)
				if odd.instance() != in || !in.quiet.ended() {
					t.Fatalf("it gave up its log, or goes on with it: it is %s, was %s",
						odd.instance().server, in.server)
				}
				l.net.Heal()
				l.until(time.Minute, "it begins anew",
					func() bool { return odd.instance().server != in.server })
				l.ready(odd)
				l.until(time.Minute, "it votes again",
					func() bool { return len(leader.instance().voters()) == 3 && odd.get("k") != "" })
			})
		})
	}
}

// If the others have no leader any more, a durable node takes part again: what only its log has must not be
// lost. In memory it cannot, and stays as it is until people decide.
// Slow: half a minute of the nodes' time goes by before one may go on, in memory and with disks.
func TestWrongCopyTakesPartAgain(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			inLab(t, 3, durable, func(l *lab) {
				_, odd, third, in := l.oddOne()
				// the leader is gone with all that it acknowledged
				l.net.Partition([]string{odd.ip, third.ip})
				time.Sleep(resumePatience / 2)
				if odd.instance() != in {
					t.Fatal("it goes on too soon")
				}
				if !durable {
					time.Sleep(5 * time.Minute)
					if odd.instance() != in {
						t.Error("it goes on without its log")
					}
					return
				}
				l.until(time.Minute, "it takes part again",
					func() bool { return odd.instance() != in && odd.instance().server == in.server })
				l.until(time.Minute, "nothing is lost",
					func() bool { return third.get("k") == "v" && odd.get("k") == "v" })
			})
		})
	}
}

// An order that comes twice counts once. An order of another term, or of a leader that the node does not
// follow, does not count.
func TestWrongCopyIsToldTwice(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		odd, third := others[0], others[1]
		if err := odd.order(third); !errors.Is(err, wire.ErrNotMe) {
			t.Errorf("it obeys one who does not lead: %v", err)
		}
		before := odd.instance().server
		for range 2 {
			if err := odd.order(leader); err != nil {
				t.Fatal(err)
			}
		}
		l.until(time.Minute, "it begins anew", func() bool { return odd.instance().server != before })
		l.ready(odd)
		if err := odd.Err(); err != nil {
			t.Error(err)
		}
	})
}

// A leader says that the farm goes on without a node only if it knows which copies are right. It counts no
// others.
func TestOnlyRightCopiesCount(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		odd, third := others[0].instance().server, others[1].instance().server
		lead := leader.instance().leading.now()
		l.until(time.Minute, "the copies are compared",
			func() bool { s := lead.comparison.same.Load(); return s != nil && (*s)[third] })
		ask := func() error {
			return leader.mending.answerWithout(l.ctx(time.Minute), wire.Hello{Source: odd}, odd)
		}
		if err := ask(); err != nil {
			t.Error(err)
		}
		lead.comparison.same.Store(&map[string]bool{odd: true}) // until the next comparison
		if err := ask(); err == nil {
			t.Error("a copy that is not known to be right counted")
		}
	})
}

// Servers that are gone are forgotten by the comparison; those that are configured, or a member, are not.
func TestComparisonForgets(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		here := others[0].instance().server
		c := &comparison{tenure: leader.instance().leading.now().tenure,
			agreed: map[string]testimony{"gone.1": {}, here: {}},
			told:   map[string]divergence{"gone.1": {}, here: {}},
			failed: map[string]bool{"gone.1": true, here: true, others[1].instance().server: false}}
		c.prune()
		if len(c.agreed) != 1 || len(c.told) != 1 || len(c.failed) != 1 || !c.failed[here] {
			t.Errorf("it keeps %v, %v, %v", c.agreed, c.told, c.failed)
		}
	})
}
