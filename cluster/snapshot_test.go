package cluster

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// firstIndex returns the first index that the node's log still has.
func (n *labNode) firstIndex() uint64 {
	first, err := n.instance().store.FirstIndex()
	if err != nil {
		n.lab.t.Fatal(err)
	}
	return first
}

// Snapshots are taken by bytes, the log is cut behind them, and a node that was away for longer than the log reaches back
// gets the snapshot: with everything in it, the answers that origins may still ask for included.
func TestSnapshotByBytes(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			unformed(t, 3, durable, func(l *lab) {
				l.symmetric()
				for _, n := range l.nodes {
					n.conf.SnapshotBytes = 64 << 10
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
				l.until(10*time.Second, "the log is cut behind a snapshot", func() bool { return leader.firstIndex() > 100 })
				behind := away.progress.load()
				l.net.Heal()
				away.must("append x 2")
				l.agree()
				if first := away.firstIndex(); first <= behind {
					l.t.Errorf("the node that was away at %d has a log from %d on: it got no snapshot", behind, first)
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

// A Raft instance that takes the place of another one has state machines of its own: nothing is applied twice, and local
// reads stay with the old ones until the new ones are as far.
func TestMachinesOfANewInstance(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		n := others[0]
		for i := range 50 {
			leader.must("append x %d", i)
		}
		if err := n.Handle("kv").Barrier(l.ctx(time.Minute)); err != nil {
			l.t.Fatal(err)
		}
		before, was := n.get("x"), n.Handle("kv").Local()
		n.reset(n.instance().server, errSetBack)
		for end := time.Now().Add(time.Minute); n.Handle("kv").Local() == was; time.Sleep(time.Millisecond) {
			if n.get("x") != before {
				l.t.Fatalf("a local read went back to %q", n.get("x"))
			}
			if time.Now().After(end) {
				l.t.Fatal("local reads never moved on")
			}
		}
		if got := n.get("x"); got != before {
			l.t.Errorf("after the move x = %q, want %q", got, before)
		}
		l.until(time.Minute, "it votes again", func() bool { return voteAt(leader, n.instance().server) == raft.Voter })
		if got, want := n.Handle("kv").Local().(*kv), leader.Handle("kv").Local().(*kv); got.Applied != want.Applied {
			l.t.Errorf("%d commands were applied, %d at the leader", got.Applied, want.Applied)
		}
	})
}
