package cluster

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// askPatience is how long a member may take to say how far it is, and the farm to prove its majority.
const askPatience = 2 * time.Second

// Overview returns what this node knows of the farm, after it has asked all members how far they are, and
// for a majority, 2 s at most: what operators see.
func (n *Node) Overview(ctx context.Context) admin.Farm { return n.operators.farm(ctx) }

// farm returns what this node knows of the farm, after it has asked all members how far they are.
func (o *operators) farm(ctx context.Context) admin.Farm {
	quorum, applied := o.askAround(ctx)
	s := o.node.State()
	f := admin.Farm{Name: s.Farm, ClusterID: s.ClusterID, Answered: s.Self, Leader: s.Leader, Term: s.Term,
		Quorum: quorum, Durable: s.Durable, Level: s.Level, CommonLevel: s.CommonLevel, HeldBack: s.HeldBack,
		Divergence: s.Divergence, Undecided: s.Undecided,
		Awaits: s.Awaits, Members: o.listed(s)}
	if err := o.failure.get(); err != nil {
		f.Failure = err.Error()
	} else if err := o.fit.err(); err != nil {
		f.Failure = err.Error()
	}
	for i := range f.Members {
		m := &f.Members[i]
		m.Applied = max(m.Applied, applied[m.ID])
	}
	fillInLag(f.Members)
	return f
}

// askAround finds out whether the farm has a quorum just now, and how far the live members are, by NodeID.
func (o *operators) askAround(ctx context.Context) (quorum bool, applied map[string]uint64) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	asking.Go(func() { quorum = o.reads.barrier(ctx) == nil })
	applied = map[string]uint64{}
	atOnce(o.members.others(), func(s *roster.Sighting) {
		st, err := o.members.statusOf(ctx, s.Node)
		if err != nil {
			return // it is as far as gossip has heard
		}
		mu.Lock()
		defer mu.Unlock()
		applied[s.Node] = st.applied
	})
	asking.Wait()
	return quorum, applied
}

// listed returns the members of s that are there or are configured, and the servers of the configuration that
// gossip knows nothing of.
func (o *operators) listed(s State) (out []admin.Member) {
	known := map[string]bool{}
	for _, m := range s.Members {
		if m.Status != Alive && m.Vote == "" {
			continue // it has left
		}
		known[m.ID] = true
		a := admin.Member{ID: m.ID, Name: m.Name, Addr: m.Addr, Status: string(m.Status),
			Role: cmp.Or(string(m.Role), "ordinary"),
			Vote: string(m.Vote), Leader: m.ID == s.Leader, Version: m.Version, Level: m.Level,
			Applied: m.Applied}
		if seen := o.directory.Get(m.ID); seen != nil {
			a.Leaving, a.Tags = seen.Leaving, seen.Tags
			if seen.Start > 0 {
				a.Started = time.UnixMilli(int64(seen.Start)).UTC()
			}
		}
		out = append(out, a)
	}
	for _, srv := range o.instance().configuration().Servers {
		node := wire.NodeOf(string(srv.ID))
		if known[node] {
			continue
		}
		known[node] = true
		out = append(out, admin.Member{ID: node, Addr: o.directory.Addr(node), Status: admin.Unknown,
			Vote:    string(voteOf(srv.Suffrage)),
			Applied: o.directory.Reached(string(srv.ID))})
	}
	slices.SortFunc(out, func(a, b admin.Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// fillInLag says how far the members are behind the foremost.
func fillInLag(members []admin.Member) {
	most := uint64(0)
	for _, m := range members {
		most = max(most, m.Applied)
	}
	for i := range members {
		members[i].Lag = most - members[i].Applied
	}
}
