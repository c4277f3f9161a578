package cluster

import (
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// members returns the newest sighting of each node that is, or may come to be, in this node's farm.
func (n *Node) members() []*roster.Sighting {
	cluster := n.self().cluster
	all := n.directory.All()
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(all, func(s *roster.Sighting) bool {
		return s.Node != n.id && (s.Cluster != "" && cluster != "" && s.Cluster != cluster || n.strangers[s.Server()])
	})
}

// estrange notes that an incarnation, of which gossip here may know no better, has joined another farm.
func (n *Node) estrange(server string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.strangers[server] || len(n.strangers) >= 1000 {
		return
	}
	n.strangers[server] = true
	n.changed.notify()
}

func (n *Node) strange(server string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.strangers[server]
}
