package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// A transfer of leadership that raft never ends leaves a leader that refuses every write.
func TestStuckTransfer(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		leader, _ := l.leader()
		in := leader.instance()
		lead := in.leading.now()
		for range 10 { // as answerAll would see it
			lead.flights.noteTransfer(raft.ErrLeadershipTransferInProgress)
			time.Sleep(300 * time.Millisecond)
		}
		l.until(time.Minute, "it has another Raft instance", func() bool { return leader.instance() != in })
		leader.must("append x 1")
		if leader.instance().server != in.server {
			l.t.Error("it forgot its log for that")
		}
	})
}

// Every append is refused after a snapshot: raft issue 697.
func TestRestoreLoop(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			inLab(t, 3, durable, func(l *lab) {
				_, others := l.leader()
				n := others[0]
				in := n.instance()
				for range refusalsInRow {
					in.restoring.restored(time.Second)
					in.restoring.refused()
				}
				l.until(time.Minute, "it has another Raft instance",
					func() bool { return n.instance() != in })
				if again := n.instance().server == in.server; again != durable {
					l.t.Errorf("the same incarnation: %v, durable: %v", again, durable)
				}
				n.must("append x 1")
			})
		})
	}
}

// Entries that were applied in between show that raft takes what follows a snapshot. So the refusals before
// that do not count any more.
func TestRefusalsOfOneSnapshot(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		_, others := l.leader()
		n := others[0]
		in := n.instance()
		for range 3 {
			for range refusalsInRow - 1 {
				in.restoring.restored(time.Second)
				in.restoring.refused()
			}
			in.restoring.applied()
		}
		n.must("append x 1")
		time.Sleep(time.Minute)
		if n.instance() != in {
			l.t.Error("it has another Raft instance")
		}
	})
}

// A write to memory takes long if the process stands still in the middle of it. That is no reason to forget
// everything.
func TestMemoryIsNoDisk(t *testing.T) {
	t.Parallel()
	unformed(t, 1, false, func(l *lab) {
		var disk hangSwitch
		n := l.nodes[0]
		n.hooks.wrapStore = func(inner raftlog.Store) raftlog.Store { return hangingStore{inner, &disk} }
		n.start()
		l.ready(n)
		n.must("append x 1")
		in := n.instance()
		disk.hang()
		time.AfterFunc(10*time.Second, disk.release)
		n.must("append x 2")
		time.Sleep(time.Minute)
		if n.instance() != in || n.Err() != nil {
			t.Errorf("it has begun anew (%v)", n.Err())
		}
	})
}

// A write returns just when it has taken too long: whoever notices that may come too late, and must
// not have the node wait for a write that has returned.
func TestDiskAnswersAtTheLastMoment(t *testing.T) {
	t.Parallel()
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		in := n.instance()
		var w logWrite
		in.stalls.recovered(&w)
		in.stalls.poison(&w, time.Second)
		time.Sleep(stallPatience + 10*time.Second)
		if err := n.Err(); err != nil {
			t.Errorf("the node has given up: %v", err)
		}
		if n.instance() != in {
			t.Error("it has begun anew, and nothing was wrong")
		}
		n.must("append x 1")
	})
}
