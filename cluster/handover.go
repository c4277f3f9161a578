package cluster

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// handover is the latest transfer of leadership that this node has asked its raft for. What raft sends to a
// follower is not held back meanwhile: raft sees to it first that the heir has the whole log, and waits for
// its sender to return. The zero value has had none, and nil never has.
type handover struct {
	mu    sync.Mutex
	until time.Time // raft gives up by then
	times int       // that there was one
	begun broadcast
}

func (h *handover) begin(patience time.Duration) {
	h.mu.Lock()
	h.until = time.Now().Add(patience)
	h.times++
	h.mu.Unlock()
	h.begun.notify()
}

// underWay reports whether raft may be at it.
func (h *handover) underWay() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Before(h.until)
}

// count returns how often one has begun.
func (h *handover) count() int {
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.times
}

// next returns a channel that is closed when another one begins.
func (h *handover) next() <-chan struct{} {
	if h == nil {
		return nil
	}
	return h.begun.next()
}

// refusedTransfer is one that was not begun.
type refusedTransfer struct{ err error }

func (f refusedTransfer) Error() error { return f.err }

// transfer has raft hand leadership over to a voter; "" leaves the choice to raft. The future may never be
// answered (raft issue 696), and is not if raft is shut down first. An heir of which nothing was heard is
// refused: raft's sender to it is in an earlier call, perhaps, and raft would wait for that, with all writes.
func (in *instance) transfer(heir string) raft.Future {
	if patience := in.node.cfg.Tuning.Heartbeat; heir != "" {
		heard := in.transport.layer.followers.of(heir).line.LastHeard()
		if ago := time.Since(heard); ago > patience {
			return refusedTransfer{fmt.Errorf("%s was not heard for %v", heir, ago.Round(time.Millisecond))}
		}
	}
	in.transport.handing.begin(in.node.cfg.Tuning.Heartbeat) // raft's election timeout
	if heir == "" {
		return in.raft.LeadershipTransfer()
	}
	return in.raft.LeadershipTransferToServer(raft.ServerID(heir), raft.ServerAddress(heir))
}
