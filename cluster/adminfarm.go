package cluster

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

// askPatience is how long a member may take to say how far it is, and the farm to prove its majority.
const askPatience = 2 * time.Second

// farm returns what this node knows of the farm, asking all members how far they are.
func (n *Node) farm(ctx context.Context) admin.Farm {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var asking sync.WaitGroup
	quorum := false
	asking.Go(func() { quorum = n.barrier(ctx) == nil })
	s := n.State()
	f := admin.Farm{Name: s.Farm, ClusterID: s.ClusterID, Answered: s.Self, Leader: s.Leader, Term: s.Term, Durable: s.Durable,
		Level: s.Level, CommonLevel: s.CommonLevel, HeldBack: s.HeldBack}
	if err := n.Err(); err != nil {
		f.Failure = err.Error()
	}
	f.Members = n.listed(s)
	for i := range f.Members {
		if m := &f.Members[i]; m.Status == Alive && m.ID != n.id {
			asking.Go(func() { m.Applied = max(m.Applied, n.appliedBy(ctx, m.ID)) })
		}
	}
	asking.Wait()
	f.Quorum = quorum
	note(f.Members)
	return f
}

// listed returns the members of s that are there or are configured, and the servers of the configuration that gossip knows
// nothing of.
func (n *Node) listed(s State) (out []admin.Member) {
	known := map[string]bool{}
	for _, m := range s.Members {
		if m.Status != Alive && m.Vote == "" {
			continue // it has left
		}
		known[m.ID] = true
		a := admin.Member{ID: m.ID, Name: m.Name, Addr: m.Addr, Status: m.Status, Role: cmp.Or(string(m.Role), "ordinary"),
			Vote: m.Vote, Leader: m.ID == s.Leader, Version: m.Version, Level: m.Level, Applied: m.Applied}
		if seen := n.directory.get(m.ID); seen != nil {
			a.Leaving = seen.leaving
		}
		out = append(out, a)
	}
	for _, srv := range n.instance().configuration().Servers {
		node := nodeOf(string(srv.ID))
		if known[node] {
			continue
		}
		known[node] = true
		out = append(out, admin.Member{ID: node, Addr: n.directory.addr(node), Status: admin.Unknown, Vote: voteOf(srv.Suffrage),
			Applied: n.directory.reached(string(srv.ID))})
	}
	slices.SortFunc(out, func(a, b admin.Member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out
}

// note fills in how far the members are behind the foremost.
func note(members []admin.Member) {
	most := uint64(0)
	for _, m := range members {
		most = max(most, m.Applied)
	}
	for i := range members {
		members[i].Lag = most - members[i].Applied
	}
}

// appliedBy asks a member how far it is, 0 if it does not say.
func (n *Node) appliedBy(ctx context.Context, node string) uint64 {
	out, _, err := n.peers.call(ctx, node, methodStatus, nil)
	if err != nil {
		return 0
	}
	st, err := parseStatus(out)
	if err != nil {
		return 0
	}
	return st.applied
}

// majority counts the voters, but for one, and those of them that are alive.
func majority(servers []raft.Server, but string, alive func(server string) bool) (voters, living int) {
	for _, srv := range servers {
		if id := string(srv.ID); srv.Suffrage == raft.Voter && nodeOf(id) != but {
			voters++
			if alive(id) {
				living++
			}
		}
	}
	return voters, living
}
