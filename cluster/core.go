package cluster

import (
	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// appliedIndex returns the index of the last entry that is applied.
func (in *instance) appliedIndex() uint64 {
	index, _ := in.fsm.View()
	return index
}

// last returns the index up to which this node has the log, or the state that the log led to.
func (in *instance) last() uint64 {
	index, _ := in.fsm.View()
	return max(index, in.grown.last.Load())
}

// voters returns the server IDs of those who vote, by the latest configuration.
func (in *instance) voters() (out []string) {
	for _, s := range in.configuration().Servers {
		if s.Suffrage == raft.Voter {
			out = append(out, string(s.ID))
		}
	}
	return out
}

// configuration returns the latest configuration; raft answers at once.
func (in *instance) configuration() raft.Configuration {
	f := in.raft.GetConfiguration()
	if f.Error() != nil {
		return raft.Configuration{}
	}
	return f.Configuration()
}

// guard waits for a future, but not longer than the instance lives: raft may leave futures unanswered at its
// end.
func (in *instance) guard(f raft.Future) error {
	ch := make(chan error, 1)
	go func() { ch <- f.Error() }()
	select {
	case err := <-ch:
		return err
	case <-in.ctx.Done():
		return ErrClosed
	}
}

// configured reports whether this server is in the configuration.
func (in *instance) configured() bool {
	return in.node.members.situation().Server(in.server) != nil
}

// follows reports whether a speaker is the leader that this node knows.
func (in *instance) follows(from wire.Hello) bool {
	leader, _ := in.leader.get()
	return leader != "" && wire.NodeOf(leader) == wire.NodeOf(from.Source)
}
