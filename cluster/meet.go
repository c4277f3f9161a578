package cluster

import "fmt"

// Two farms of one name meet when a node that was cut off founded its own, or when a machine was started before it could
// see the others. Nothing can merge two logs. The side that never had a second member gives up, whatever its age; if
// neither had one, that with the greater cluster ID. Any other meeting is refused, by an error on both sides.

// givesWay reports whether this node's farm gives up in favour of that of s.
func (n *Node) givesWay(s *sighting, cluster string) bool {
	n.mu.Lock()
	lonely := n.founding
	n.mu.Unlock()
	if !lonely || n.fsm().second.Load() || s.durable != n.durable() {
		return false
	}
	return s.second || cluster > s.cluster
}

// giveUpFarm makes this node forget the farm that it founded, and join that of s. Its data is moved aside, not deleted.
func (n *Node) giveUpFarm(s *sighting) {
	n.contact(s.addr)
	n.mu.Lock()
	n.caughtUp = false // the gate closes at once
	n.mu.Unlock()
	reason := fmt.Errorf("this node founded a farm of its own, cluster ID %s, and met the farm %s of %s at %s, which it joins now",
		n.self().cluster, s.cluster, s.name, s.addr)
	select {
	case n.resets <- resetOrder{n.instance().server, forgetFarm, reason}:
	default:
	}
	n.changed.notify()
}
