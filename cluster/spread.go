package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// spreadPause is how long Spread waits before it asks again a member that was behind, twice as long each time
// up to spreadPauseMax. Mostly a follower has it by then (notice.go).
const (
	spreadPause    = 5 * time.Millisecond
	spreadPauseMax = 200 * time.Millisecond
)

// Spread returns nil once every node that holds the state has applied index: whoever reads on any of them
// afterwards sees it. A node that has said that it stops does not count, because it proves that it is caught
// up before it serves again.
//
// The error names the first node of which this is not known: it is dead, as far as this node knows, or had
// not applied the index when ctx ended. It may still be answering readers from an older state.
func (h *Handle) Spread(ctx context.Context, index uint64) error {
	n := h.node
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := h.Wait(ctx, index) // first: a member that was added before index is in the configuration then
	if err != nil {
		return err
	}
	servers, asked := n.instance().configuration().Servers, 0
	answers := make(chan error, len(servers))
	for _, srv := range servers {
		node := wire.NodeOf(string(srv.ID))
		if s := n.directory.Get(node); node == n.id || s != nil && s.SaidGoodbye() {
			continue
		}
		asked++
		go func() { answers <- n.members.awaitApplied(ctx, node, index) }() // it ends with ctx
	}
	for range asked {
		if e := <-answers; err == nil && e != nil {
			err = e
			cancel()
		}
	}
	return err
}

// awaitApplied waits until a member says that it has applied index, as long as it is alive.
func (m *members) awaitApplied(ctx context.Context, node string, index uint64) error {
	for pause := spreadPause; ; pause = min(2*pause, spreadPauseMax) {
		s, err := m.statusOf(ctx, node)
		if err == nil && s.applied >= index {
			return nil
		}
		if seen := m.directory.Get(node); seen == nil || seen.Status != roster.Alive {
			return fmt.Errorf("node %s may be behind: it does not answer", node)
		}
		if !sleep.For(ctx, pause) {
			return fmt.Errorf("node %s may be behind: %w", node, ctx.Err())
		}
	}
}
