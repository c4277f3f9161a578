package cluster

import (
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// members are the nodes of the farm, as far as gossip and the Raft configuration tell. What is heard
// is in base.directory, which has its own lock; so has strangers, and nothing else here changes.
type members struct {
	*base
	strangers names // server IDs of nodes that turned out to be of another farm
}

// all returns the newest sighting of each node that is, or may come to be, in this node's farm.
func (m *members) all() []*roster.Sighting {
	cluster := m.self().cluster
	all := m.directory.All()
	return slices.DeleteFunc(all, func(s *roster.Sighting) bool {
		return s.Node != m.id && (s.Cluster != "" && cluster != "" && s.Cluster != cluster ||
			m.strangers.has(s.Server()))
	})
}

const mostStrangers = 1000

// estrange notes that an incarnation, of which gossip here may know no better, has joined another farm.
func (m *members) estrange(server string) {
	if m.strangers.add(server, mostStrangers) {
		m.changed.Notify()
	}
}

// others returns the other members that gossip knows to be alive.
func (m *members) others() []*roster.Sighting {
	return slices.DeleteFunc(m.all(),
		func(s *roster.Sighting) bool { return s.Node == m.id || s.Status != roster.Alive })
}

// alone reports whether no other member is known to be alive.
func (m *members) alone() bool {
	return !slices.ContainsFunc(m.all(),
		func(s *roster.Sighting) bool { return s.Node != m.id && s.Status == roster.Alive })
}

// anybodyStays reports whether some other member is known to be alive, and not to stop.
func (m *members) anybodyStays() bool {
	return slices.ContainsFunc(m.others(), func(s *roster.Sighting) bool { return !s.Leaving })
}

// here reports whether a node is alive, as far as gossip knows; this one is.
func (m *members) here(node string) bool {
	s := m.directory.Get(node)
	return node == m.id || s != nil && s.Status == roster.Alive
}

// present returns the NodeIDs of the members that are there, this one's among them, in order.
func (m *members) present() []string {
	nodes := []string{m.id}
	for _, s := range m.others() {
		nodes = append(nodes, s.Node)
	}
	slices.Sort(nodes)
	return nodes
}

// nameOf returns the name of the node of a server for people, its NodeID if it has never been heard, "none"
// for no server.
func (m *members) nameOf(server string) string {
	if server == "" {
		return "none"
	}
	if wire.NodeOf(server) == m.id {
		return m.cfg.Name
	}
	if s := m.directory.Get(wire.NodeOf(server)); s != nil {
		return s.Name
	}
	return wire.NodeOf(server)
}

// absent names the voters that are not known to be alive.
func (m *members) absent(in *instance) string {
	var names []string
	for _, id := range in.voters() {
		s := m.directory.Get(wire.NodeOf(id))
		switch {
		case s == nil:
			names = append(names, id)
		case s.Server() != id || s.Status != roster.Alive:
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// seesFarm reports whether anybody who is there belongs to a farm, whatever its role: it may be all that is
// left of that.
func (m *members) seesFarm() bool {
	return slices.ContainsFunc(m.all(), func(s *roster.Sighting) bool {
		return s.Node != m.id && s.Status == roster.Alive && s.Cluster != ""
	})
}

// foundersHere returns how many nodes could found a farm with this one, itself included.
func (m *members) foundersHere() (count int) {
	for _, s := range m.all() {
		if s.Node == m.id || s.Status == roster.Alive && Role(s.Role) == Ordinary && s.Cluster == "" {
			count++
		}
	}
	return count
}

// situation collects what this node knows, but for what only a leader can.
func (m *members) situation() *voting.Situation {
	in := m.instance()
	s := &voting.Situation{Self: in.server, Servers: serversOf(in.configuration()),
		MaxVoters: m.cfg.Tuning.MaxVoters,
		Level:     in.fsm.Level(), Undecided: in.witness.divergence().stop, Strange: m.strangers.has}
	contested := m.directory.Contested()
	for _, seen := range m.all() {
		if seen.Durable == m.durable() && !contested[seen.Gossip] {
			s.Nodes = append(s.Nodes, candidate(seen))
		}
	}
	return s
}

// candidate is what voting has to know of a run of a node.
func candidate(s *roster.Sighting) voting.Node {
	return voting.Node{ID: s.Node, Server: s.Server(), Boot: s.Boot, Alive: s.Status == roster.Alive,
		Retiring: s.Retiring,
		Leaving:  s.Leaving, Stopped: s.SaidGoodbye(), Ordinary: Role(s.Role) == Ordinary,
		MaxProtocol: s.MaxProtocol}
}

// serversOf returns the servers of a configuration as voting sees them.
func serversOf(c raft.Configuration) []voting.Server {
	out := make([]voting.Server, len(c.Servers))
	for i, srv := range c.Servers {
		id := string(srv.ID)
		out[i] = voting.Server{ID: id, Node: wire.NodeOf(id), Votes: srv.Suffrage == raft.Voter}
	}
	return out
}
