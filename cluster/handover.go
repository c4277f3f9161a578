package cluster

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/internal/broadcast"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// handover is the latest transfer of leadership that this node has asked its raft for. What raft sends to a
// follower is not held back meanwhile: raft sees to it first that the heir has the whole log, and waits for
// its sender to return. The zero value has had none, and nil never has.
type handover struct {
	mu    sync.Mutex
	until time.Time // raft gives up by then
	times int       // that there was one
	begun broadcast.Signal
}

func (h *handover) begin(patience time.Duration) {
	h.mu.Lock()
	h.until = time.Now().Add(patience)
	h.times++
	h.mu.Unlock()
	h.begun.Notify()
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
	return h.begun.Next()
}

// handingOver has another voter lead.
type handingOver struct {
	*core
	latest *handover
}

// refusedTransfer is one that was not begun.
type refusedTransfer struct{ err error }

func (f refusedTransfer) Error() error { return f.err }

// transfer has raft hand leadership over to a voter; "" = whichever that is heard has most of the log. The
// future may never be answered (raft issue 696), and is not if raft is shut down first. An heir of which
// nothing was heard is refused: raft's sender to it is in an earlier call, perhaps, and raft would wait for
// that, with all writes.
func (h *handingOver) transfer(heir string) raft.Future {
	patience := h.node.cfg.Tuning.Heartbeat
	if heir == "" {
		heir = h.anyHeir(patience)
	} else if ago := time.Since(h.heard(heir)); ago > patience {
		return refusedTransfer{fmt.Errorf("%s was not heard for %v", heir, ago.Round(time.Millisecond))}
	}
	h.latest.begin(patience) // raft's election timeout
	if heir == "" {
		return h.raft.LeadershipTransfer() // nobody is heard, so no writes wait
	}
	f := h.raft.LeadershipTransferToServer(raft.ServerID(heir), raft.ServerAddress(heir))
	h.node.spawn(func() { h.dropSilent(heir, patience) })
	return f
}

// heard returns when a server has answered this node last; zero if it never did.
func (h *handingOver) heard(server string) (at time.Time) {
	if f := h.layer.followers.known(server); f != nil {
		at = f.line.LastHeard()
	}
	return at
}

// anyHeir returns, of the voters that were heard within patience, one that is known to have most of the log;
// "" if none was heard.
func (h *handingOver) anyHeir(patience time.Duration) (heir string) {
	var most uint64
	for _, id := range h.voters() {
		if id == h.server || time.Since(h.heard(id)) > patience {
			continue
		}
		if at, _, _ := h.layer.followers.of(id).known(); heir == "" || at > most {
			heir, most = id, at
		}
	}
	return heir
}

// dropSilent ends calls to an heir that is not heard any more, as long as a transfer may hang on one: raft
// waits until they have failed, by themselves after seconds, and takes no write meanwhile.
func (h *handingOver) dropSilent(heir string, patience time.Duration) {
	pause := patience / 20
	for end := time.Now().Add(2 * patience); time.Now().Before(end) && h.raft.State() == raft.Leader; {
		if time.Since(h.heard(heir)) > patience {
			h.layer.hangUpOn(heir)
			pause = patience / 4 // it may come back, and has to be called for that
		}
		if !sleep.For(h.ctx, pause) {
			return
		}
	}
}
