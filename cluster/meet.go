package cluster

import (
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// Two farms of one name meet when a node that was cut off founded its own, or when a machine was started
// before it could see the others. Nothing can merge two logs. The side that never had a second member gives
// up, whatever its age; if neither had one, it is the side with the greater cluster ID. A node of an earlier
// epoch of one farm gives up whatever it has had (reform.go). Any other meeting is refused, by an error on
// both sides.

// givesWay reports whether this node's farm gives up in favour of that of s.
func (nw *news) givesWay(s *roster.Sighting, cluster string) bool {
	if supersedes(s.Cluster, cluster) {
		return s.Durable == nw.durable()
	}
	if !nw.standing.Identity().Founding || nw.fsm().Shared() || s.Durable != nw.durable() {
		return false
	}
	return s.Second || cluster > s.Cluster
}

// giveUpFarm makes this node forget the farm that it founded, and join that of s. Its data is moved aside,
// not deleted.
func (nw *news) giveUpFarm(s *roster.Sighting) {
	nw.joining.contacts.add(s.Addr)
	mine := nw.self().cluster
	o := resetOrder{server: nw.instance().server, kind: forgetFarm}
	o.reason = fmt.Errorf("this node founded a farm of its own, cluster ID %s, and met the farm %s of %s at "+
		"%s, which it joins now",
		mine, s.Cluster, s.Name, s.Addr)
	if supersedes(s.Cluster, mine) {
		o.farm = nw.farmMeanwhile(s.Cluster)
		o.reason = fmt.Errorf("the farm was re-formed without this node: it was %s here and is %s at %s, "+
			"%s, which this node joins now",
			mine, s.Cluster, s.Name, s.Addr)
	}
	nw.resets.orders.give(o)
	nw.fit.close() // at once, and it stays so until that is done
	nw.changed.Notify()
}

// farmMeanwhile returns the cluster ID of a node that has given up its state for a later epoch, until it is
// taken in there. With a data directory it is that epoch's. The new state is on a disk, and if the only node
// that has it is down, the others must wait for it, and not found another farm. In memory mode the new state
// can be lost for good, so there the node has no cluster ID, and need not wait.
func (nw *news) farmMeanwhile(epoch string) string {
	if nw.durable() {
		return epoch
	}
	return ""
}

// followEpoch gives up this node's state if one who is alive has a later epoch of its farm. Gossip says it
// once, at which moment this node may have been busy with something else.
func (nw *news) followEpoch() {
	cluster := nw.self().cluster
	for _, s := range nw.directory.All() {
		if s.Status == roster.Alive && supersedes(s.Cluster, cluster) && nw.givesWay(s, cluster) {
			nw.giveUpFarm(s)
			return
		}
	}
}
