package cluster

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/internal/broadcast"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// handover is the latest transfer of leadership that this node has asked its raft for. What raft sends to a
// follower is not held back meanwhile: raft sees to it first that the heir has the whole log, and waits for
// its sender to return. The zero value has had none, and nil never has.
//
// Leadership is handed to nobody whose vote is being taken, and no vote is taken of whom it is handed to:
// raft takes up both in any order. An heir without a vote cannot lead, and the farm would have no leader
// until the next election. And it is handed to one at a time: raft refuses the second at once, and the first
// goes on.
type handover struct {
	mu    sync.Mutex
	until time.Time      // raft gives up by then
	times int            // that there was one
	heir  string         // to whom leadership is handed until then; "" if raft has answered
	taken map[string]int // how many changes that take a server's vote are under way
	begun broadcast.Signal
}

// begin says why leadership may not be handed to heir now, or returns the number of this transfer; then end
// is called with that when raft has answered.
func (h *handover) begin(heir string, patience time.Duration) (number int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	switch {
	case h.taken[heir] > 0:
		return 0, fmt.Errorf("the vote of %s is being taken", heir)
	case h.heir != "" && now.Before(h.until):
		return 0, fmt.Errorf("%s: %w", h.heir, raft.ErrLeadershipTransferInProgress)
	}
	h.heir, h.until = heir, now.Add(patience)
	h.times++
	h.begun.Notify()
	return h.times, nil
}

// end is told that raft has answered a transfer. That may be late, when there is another one.
func (h *handover) end(number int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if number == h.times {
		h.heir = ""
	}
}

// takeVote takes the vote of a server by change, unless leadership is being handed to it.
func (h *handover) takeVote(server string, change func() error) error {
	h.mu.Lock()
	if h.heir == server && time.Now().Before(h.until) {
		h.mu.Unlock()
		return fmt.Errorf("%s: %w", server, raft.ErrLeadershipTransferInProgress)
	}
	if h.taken == nil {
		h.taken = make(map[string]int)
	}
	h.taken[server]++
	h.mu.Unlock()
	defer h.voteTaken(server)
	return change()
}

func (h *handover) voteTaken(server string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken[server]--; h.taken[server] == 0 {
		delete(h.taken, server)
	}
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

// begunTransfer is one that raft was asked for. raft's own future may be asked by one goroutine only.
type begunTransfer struct {
	done chan struct{}
	err  error
	at   time.Time // of the answer
}

// watchTransfer calls end when raft has answered.
func watchTransfer(f raft.Future, end func()) *begunTransfer {
	t := &begunTransfer{done: make(chan struct{})}
	go func() {
		t.err = f.Error()
		t.at = time.Now()
		end()
		close(t.done)
	}()
	return t
}

func (t *begunTransfer) Error() error {
	<-t.done
	return t.err
}

// endedBefore reports whether raft has answered before some moment.
func (t *begunTransfer) endedBefore(at time.Time) bool {
	select {
	case <-t.done:
		return t.at.Before(at)
	default:
		return false
	}
}

// begun reports whether raft was asked for a transfer.
func begun(transfer raft.Future) bool {
	_, refused := transfer.(refusedTransfer)
	return !refused
}

var errNoHeir = errors.New("no voter can take over: none was heard that has the log")

// transfer has raft hand leadership over to a voter; "" = whichever that can take over has most of the log.
// The future may never be answered (raft issue 696), and is not if raft is shut down first. An heir that
// cannot take over is refused: raft would wait for it, with all writes.
func (h *handingOver) transfer(heir string) raft.Future {
	patience := h.node.cfg.Tuning.Heartbeat
	if heir == "" {
		heir = h.anyHeir(patience)
	}
	if heir == "" {
		return refusedTransfer{errNoHeir}
	}
	if !slices.Contains(h.voters(), heir) {
		return refusedTransfer{fmt.Errorf("%s has no vote", heir)}
	}
	if err := h.unfitHeir(heir, patience); err != nil {
		return refusedTransfer{err}
	}
	number, err := h.latest.begin(heir, patience) // raft's election timeout
	if err != nil {
		return refusedTransfer{err}
	}
	id, addr := raft.ServerID(heir), raft.ServerAddress(heir)
	t := watchTransfer(h.raft.LeadershipTransferToServer(id, addr), func() { h.latest.end(number) })
	h.node.spawn(func() { h.dropHeir(t, number, heir, patience) })
	return t
}

// unfitHeir says why a voter cannot take over: it was not heard within patience, so that raft's sender is in
// an earlier call to it, perhaps, and does not return for seconds; or it is sent a snapshot, which may take
// minutes.
func (h *handingOver) unfitHeir(server string, patience time.Duration) error {
	f := h.layer.followers.of(server)
	_, heard, fed := f.known()
	switch ago := time.Since(heard); {
	case heard.IsZero():
		return fmt.Errorf("%s was not heard yet", server)
	case ago > patience:
		return fmt.Errorf("%s was not heard for %v", server, ago.Round(time.Millisecond))
	case fed:
		return fmt.Errorf("%s is being sent a snapshot", server)
	}
	return nil
}

// heard returns when a server has answered this node last; zero if it never did.
func (h *handingOver) heard(server string) (at time.Time) {
	if f := h.layer.followers.known(server); f != nil {
		at = f.line.LastHeard()
	}
	return at
}

// anyHeir returns, of the voters that can take over, one that is known to have most of the log; "" if none
// can.
func (h *handingOver) anyHeir(patience time.Duration) (heir string) {
	var most uint64
	for _, id := range h.voters() {
		if id == h.server || h.unfitHeir(id, patience) != nil {
			continue
		}
		if at, _, _ := h.layer.followers.of(id).known(); heir == "" || at > most {
			heir, most = id, at
		}
	}
	return heir
}

// dropHeir ends calls to an heir for as long as a transfer may hang on one: when the heir is not heard any
// more, or has not taken over in the time that raft gives it. Raft waits until they have failed, by
// themselves after seconds, and takes no write meanwhile. An heir may be heard whose Raft is busy: its
// transport answers heartbeats. When another transfer has begun, calls are for that one.
func (h *handingOver) dropHeir(t *begunTransfer, number int, heir string, patience time.Duration) {
	pause, over := patience/20, time.Now().Add(patience)
	for time.Since(over) < patience && h.raft.State() == raft.Leader && !t.endedBefore(over) &&
		h.latest.count() == number {
		if time.Since(h.heard(heir)) > patience || time.Since(over) > 0 {
			h.layer.hangUpOn(heir)
			pause = patience / 4 // it may come back, and has to be called for that
		}
		if !sleep.For(h.ctx, pause) {
			return
		}
	}
}
