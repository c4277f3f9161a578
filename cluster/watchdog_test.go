package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A transfer of leadership that raft never ends leaves a leader that refuses every write.
func TestStuckTransfer(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		leader, _ := l.leader()
		in := leader.instance()
		lead := in.lead.Load()
		for range 10 { // as settle would see it
			lead.transferStuck(raft.ErrLeadershipTransferInProgress)
			time.Sleep(300 * time.Millisecond)
		}
		l.until(time.Minute, "it has another Raft instance", func() bool { return leader.instance() != in })
		leader.must("append x 1")
		if leader.instance().server != in.server {
			l.t.Error("it forgot its log for that")
		}
	})
}

// Snapshot after snapshot with nothing applied between: raft issue 697.
func TestRestoreLoop(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			inLab(t, 3, durable, func(l *lab) {
				_, others := l.leader()
				n := others[0]
				in := n.instance()
				for range restoresInRow {
					in.restored()
				}
				l.until(time.Minute, "it has another Raft instance", func() bool { return n.instance() != in })
				if again := n.instance().server == in.server; again != durable {
					l.t.Errorf("the same incarnation: %v, durable: %v", again, durable)
				}
				n.must("append x 1")
			})
		})
	}
}
