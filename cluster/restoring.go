package cluster

import (
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// mostRestores is how many snapshots in a row a state machine may refuse. The leader sends the next one at
// once.
const mostRestores = 3

// restoreRefused says that a state machine did not take up a snapshot that is whole, and ends the node when
// that goes on: nothing that the others can send would help.
func (in *instance) restoreRefused(err error) {
	in.node.warnOnce("restore", "a state machine does not take up a snapshot of the others; see to its "+
		"Restore", err)
	if in.notTakenUp.Add(1) >= mostRestores {
		in.halted(fmt.Errorf("%w: %d snapshots in a row: %w", wire.ErrMachine, mostRestores, err))
	}
}

// restored notes that raft has restored a snapshot, and how long that took.
func (in *instance) restored(took time.Duration) {
	in.node.meters.snapshots.restored(took)
	in.notTakenUp.Store(0)
	index, _ := in.fsm.View()
	in.transport.restoredTo.Store(index)
	if in.memory != nil {
		in.memory.Restored(index)
	}
}

// applied notes that a restored snapshot led on.
func (in *instance) applied() {
	if in.transport.restoredTo.Swap(0) == 0 {
		return
	}
	in.watchMu.Lock()
	defer in.watchMu.Unlock()
	in.refusals = 0
}

// refused notes that raft has refused an append which begins right behind the snapshot that it has just
// restored. Several of these, with nothing applied between, mean that it refuses every append (raft issue
// 697), and is sent one snapshot after the other: a new instance on the same log is not. Snapshots alone mean
// nothing: who restores slowly may be sent many.
func (in *instance) refused() {
	in.watchMu.Lock()
	defer in.watchMu.Unlock()
	if in.refusals++; in.refusals == refusalsInRow {
		in.refusals = 0
		in.node.resets.restart(in.server, fmt.Errorf("what follows a restored snapshot was refused %d times",
			refusalsInRow))
	}
}
