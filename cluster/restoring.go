package cluster

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// mostRestores is how many snapshots in a row a state machine may refuse. The leader sends the next one at
// once.
const mostRestores = 3

// restoring watches over the snapshots of others that raft restores: whether state machines take them up, and
// whether raft goes on from there.
type restoring struct {
	*core
	storage *storage
	// the last entry of a snapshot behind which nothing was applied yet; 0 = there is none
	to         atomic.Uint64
	notTakenUp atomic.Int32 // snapshots in a row that a machine refused

	mu       sync.Mutex
	refusals int // of what follows a restored snapshot, since something was applied
}

// refusedState says that a state machine did not take up a snapshot that is whole, and ends the node when
// that goes on: nothing that the others can send would help.
func (r *restoring) refusedState(err error) {
	r.node.warnOnce("restore", "a state machine does not take up a snapshot of the others; see to its "+
		"Restore", err)
	if r.notTakenUp.Add(1) >= mostRestores {
		r.halted(fmt.Errorf("%w: %d snapshots in a row: %w", wire.ErrMachine, mostRestores, err))
	}
}

// restored notes that raft has restored a snapshot, and how long that took.
func (r *restoring) restored(took time.Duration) {
	r.node.meters.snapshots.restored(took)
	r.notTakenUp.Store(0)
	index, _ := r.fsm.View()
	r.to.Store(index)
	if r.storage.memory != nil {
		r.storage.memory.Restored(index)
	}
}

// applied notes that a restored snapshot led on.
func (r *restoring) applied() {
	if r.to.Swap(0) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusals = 0
}

// refused notes that raft has refused an append which begins right behind the snapshot that it has just
// restored. Several of these, with nothing applied between, mean that it refuses every append (raft issue
// 697), and is sent one snapshot after the other: a new instance on the same log is not. Snapshots alone mean
// nothing: who restores slowly may be sent many.
func (r *restoring) refused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refusals++; r.refusals == refusalsInRow {
		r.refusals = 0
		r.node.resets.restart(r.server, fmt.Errorf("what follows a restored snapshot was refused %d times",
			refusalsInRow))
	}
}
