package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// WriteSnapshot writes the whole replicated state as this node has it - every state machine, and what makes
// proposals happen once - to w, and returns the index of the last entry in it. The state is frozen at one
// moment and written while the log goes on. Nodes that have applied the same entries write the same bytes.
func (n *Node) WriteSnapshot(w io.Writer) (index uint64, err error) {
	s, index, err := n.local.Load().Freeze()
	if err == nil {
		err = s.Write(w)
	}
	if err != nil {
		return 0, fmt.Errorf("cluster: snapshot: %w", err)
	}
	return index, nil
}

// Restore replaces the replicated state of the whole farm by one that WriteSnapshot wrote, on this farm or
// another. r is read and checked to its end before anything changes. This node goes on alone under a new
// cluster ID, a new epoch of the farm; the other members give up their state - it is moved aside where there
// is a data directory - and join it.
//
// It returns once this node has the new state. An error before that leaves everything as it was. What is
// acknowledged while the farm changes over may be lost, like everything since the backup: stop writing
// before.
//
// A state that works at a higher protocol level than some member speaks is refused by an error that wraps
// ErrHeldBack: that member could not join any more.
func (n *Node) Restore(ctx context.Context, r io.Reader) error {
	if err := n.recovery.restore(ctx, "", r); err != nil {
		return fmt.Errorf("cluster: restore: %w", err)
	}
	return nil
}

// restore is Restore if the farm's cluster ID, once all of r is there, is cluster; "" is any.
func (rc *recovery) restore(ctx context.Context, cluster string, r io.Reader) error {
	if rc.cfg.Role != Ordinary {
		return fmt.Errorf("%w: a node with the role %q never votes", wire.ErrNotReformed, rc.cfg.Role)
	}
	state, _ := rc.detachedState()
	if err := state.Restore(io.NopCloser(r)); err != nil {
		return err
	}
	if level := state.Level(); level > rc.fsm().Level() {
		if behind := rc.leveling.below(level); len(behind) > 0 {
			return fmt.Errorf("%w: the state is of protocol level %d, and there are: %s; start the newer "+
				"program there first",
				ErrHeldBack, level, strings.Join(behind, "; "))
		}
	}
	if rc.claims.restoring.Swap(true) {
		return fmt.Errorf("%w: on this node", errBusy)
	}
	defer rc.claims.restoring.Store(false)
	claimed, err := rc.claims.claim(ctx)
	if err != nil {
		return err
	}
	if cluster == "" {
		cluster = claimed
	}
	err = rc.resets.orderReform(ctx, cluster, state)
	// else it may still be done; and what is done ends the claim
	if err != nil && !errors.Is(err, ErrUncertain) {
		rc.claims.giveBack(claimed)
	}
	return err
}
