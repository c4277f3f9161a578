package cluster

import (
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// members returns the newest sighting of each node that is, or may come to be, in this node's farm.
func (n *Node) members() []*roster.Sighting {
	cluster := n.self().cluster
	all := n.directory.All()
	return slices.DeleteFunc(all, func(s *roster.Sighting) bool {
		return s.Node != n.id && (s.Cluster != "" && cluster != "" && s.Cluster != cluster ||
			n.strangers.has(s.Server()))
	})
}

const mostStrangers = 1000

// estrange notes that an incarnation, of which gossip here may know no better, has joined another farm.
func (n *Node) estrange(server string) {
	if n.strangers.add(server, mostStrangers) {
		n.changed.notify()
	}
}
