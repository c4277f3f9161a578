package cluster

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// core is what the parts of a Raft instance have in common: which server it is, raft itself, what raft works
// with, and how all of it ends. It knows none of the parts. What changes after the instance has started has a
// lock of its own.
type core struct {
	node   *instances
	server string // Raft server ID
	boot   uint64
	log    *slog.Logger
	fsm    *replica.State
	layer  *streamLayer
	raft   *raft.Raft
	made   chan struct{} // closed when there is a raft, or never will be

	leader leaderCell
	grown  growth
	broken atomic.Pointer[error] // by which a write to the log failed

	ctx    context.Context // ends when the instance begins to stop
	cancel context.CancelFunc
	wg     sync.WaitGroup
	quiet  ending          // of everything but the log
	halted func(err error) // ends this node's part in the farm
}

// appliedIndex returns the index of the last entry that is applied.
func (c *core) appliedIndex() uint64 {
	index, _ := c.fsm.View()
	return index
}

// last returns the index up to which this node has the log, or the state that the log led to.
func (c *core) last() uint64 {
	index, _ := c.fsm.View()
	return max(index, c.grown.last.Load())
}

// raftLeader returns the server ID of the leader that raft knows, "" for none.
func (c *core) raftLeader() string {
	_, id := c.raft.LeaderWithID()
	return string(id)
}

// voters returns the server IDs of those who vote, by the latest configuration.
func (c *core) voters() (out []string) {
	for _, s := range c.configuration().Servers {
		if s.Suffrage == raft.Voter {
			out = append(out, string(s.ID))
		}
	}
	return out
}

// configuration returns the latest configuration; raft answers at once.
func (c *core) configuration() raft.Configuration {
	f := c.raft.GetConfiguration()
	if f.Error() != nil {
		return raft.Configuration{}
	}
	return f.Configuration()
}

// guard waits for a future, but not longer than the instance lives: raft may leave futures unanswered at its
// end.
func (c *core) guard(f raft.Future) error {
	ch := make(chan error, 1)
	go func() { ch <- f.Error() }()
	select {
	case err := <-ch:
		return err
	case <-c.ctx.Done():
		return ErrClosed
	}
}

// configured reports whether this server is in the configuration.
func (c *core) configured() bool {
	return c.node.members.situation().Server(c.server) != nil
}

// follows reports whether a speaker is the leader that this node knows.
func (c *core) follows(from wire.Hello) bool {
	leader, _ := c.leader.get()
	return leader != "" && wire.NodeOf(leader) == wire.NodeOf(from.Source)
}
