package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Four ways in which a farm on stock raft breaks what it promised, each reproduced against it before this
// package was written. Two of them are scripts: testdata/script/attack_stalled_follower.txt and
// attack_joiner_of_two_farms.txt.

// Stock raft: VerifyLeader counts answers to heartbeats that were sent before the call. When leadership
// moves, and the way back to the old leader is slow, it confirms a leader that has been deposed, and a read
// through it misses a write that was acknowledged elsewhere. Here a barrier asks a majority of the voters,
// after the call, whether the leader's term is still the newest they know.
//
// Slow: an attack takes elections in real time.
func TestAttackStaleRead(t *testing.T) {
	t.Parallel()
	for round := range 10 {
		inLab(t, 3, false, func(l *lab) {
			leader, others := l.leader()
			leader.must("append x 0")
			slow := 60 * time.Millisecond
			for _, o := range others {
				l.net.Delay(o.ip, leader.ip, slow)
			}
			time.Sleep(100 * time.Millisecond)
			to := others[round%2]
			id := to.instance().server
			go leader.instance().raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(id))
			for range 300 {
				if to.leads() && to.propose(time.Second, "append x new") == nil {
					break
				}
				time.Sleep(time.Millisecond)
			}
			want := to.get("x")
			ctx := l.ctx(5 * time.Second)
			if err := leader.Handle("kv").Barrier(ctx); err == nil && leader.get("x") != want {
				l.t.Errorf("after a barrier the old leader reads %q, %q was acknowledged before",
					leader.get("x"), want)
			}
			for _, o := range others {
				l.net.Delay(o.ip, leader.ip, 0)
			}
		})
	}
}

// Stock raft: a second Raft instance in one process over the same state machine, such as RecoverCluster or a
// restart makes, applies the whole log to it again. Here an instance has machines of its own, from the
// factories, and local reads stay with the old ones until the new ones have applied as much.
func TestAttackAppliedTwice(t *testing.T) {
	t.Parallel()
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
		n.resets.reset(n.instance().server, wire.ErrSetBack)
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
		l.until(time.Minute, "it votes again",
			func() bool { return voteAt(leader, n.instance().server) == raft.Voter })
		if got, want := n.Handle("kv").Local().(*kv),
			leader.Handle("kv").Local().(*kv); got.Applied != want.Applied {
			l.t.Errorf("%d commands were applied, %d at the leader", got.Applied, want.Applied)
		}
	})
}

// Stock raft: two farms can both feed one newcomer, since a request names neither its farm nor whom it is
// for; entries of both end up in one log, without an error. Here a Raft connection opens with a handshake
// that a node of another farm does not get through, whatever it believes to be connected with. The script
// shows the same with a newcomer in doubt.
func TestAttackSplicedLogs(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		unformed(t, 2, durable, func(l *lab) {
			for _, n := range l.nodes {
				n.start() // each founds a farm of its own
			}
			l.ready(l.nodes...)
			x, y := l.nodes[0], l.nodes[1]
			x.directory.KeepAt(y.id, y.Addr())
			c, err := x.instance().layer.Dial(raft.ServerAddress(y.instance().server), time.Second)
			if err == nil {
				c.Close()
			}
			if !errors.Is(err, ErrOtherFarm) {
				l.t.Errorf("a Raft connection to a node of another farm: %v, want ErrOtherFarm", err)
			}
			for _, n := range l.nodes { // they will never agree
				n.stop()
			}
		})
	}
}
