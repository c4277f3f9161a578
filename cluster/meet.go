package cluster

import (
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// Two farms of one name meet when a node that was cut off founded its own, or when a machine was started
// before it could see the others. Nothing can merge two logs. The side that never had a second member gives
// up, whatever its age; if neither had one, that with the greater cluster ID. A node of an earlier epoch of
// one farm gives up whatever it has had (reform.go). Any other meeting is refused, by an error on both sides.

// givesWay reports whether this node's farm gives up in favour of that of s.
func (n *Node) givesWay(s *roster.Sighting, cluster string) bool {
	if supersedes(s.Cluster, cluster) {
		return s.Durable == n.durable()
	}
	if !n.standing.Identity().Founding || n.fsm().Shared() || s.Durable != n.durable() {
		return false
	}
	return s.Second || cluster > s.Cluster
}

// giveUpFarm makes this node forget the farm that it founded, and join that of s. Its data is moved aside,
// not deleted.
func (n *Node) giveUpFarm(s *roster.Sighting) {
	n.joining.contacts.add(s.Addr)
	mine := n.self().cluster
	o := resetOrder{server: n.instance().server, kind: forgetFarm}
	o.reason = fmt.Errorf("this node founded a farm of its own, cluster ID %s, and met the farm %s of %s at "+
		"%s, which it joins now",
		mine, s.Cluster, s.Name, s.Addr)
	if supersedes(s.Cluster, mine) {
		o.farm = n.heldOnTo(s.Cluster)
		o.reason = fmt.Errorf("the farm was re-formed without this node: it was %s here and is %s at %s, "+
			"%s, which this node joins now",
			mine, s.Cluster, s.Name, s.Addr)
	}
	n.resets.orders.give(o)
	n.fit.close() // at once, and it stays so until that is done
	n.changed.notify()
}

// heldOnTo returns the cluster ID that a node has, once it has given up its state for a later epoch, and
// before it is taken in. With a data directory that is the epoch's: the state is on a disk, though the only
// node that has it may be down, and who waits for that must not found another farm. Without, the state can be
// lost for good, and then nobody is to wait.
func (n *Node) heldOnTo(epoch string) string {
	if n.durable() {
		return epoch
	}
	return ""
}

// followEpoch gives up this node's state if one who is alive has a later epoch of its farm. Gossip says it
// once, at which moment this node may have been busy with something else.
func (n *Node) followEpoch() {
	cluster := n.self().cluster
	for _, s := range n.directory.All() {
		if s.Status == roster.Alive && supersedes(s.Cluster, cluster) && n.givesWay(s, cluster) {
			n.giveUpFarm(s)
			return
		}
	}
}
