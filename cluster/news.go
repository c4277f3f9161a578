package cluster

import (
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// news takes in what gossip says, and does what follows for this node and its farm. It remembers nothing;
// what is heard goes into base.directory.
type news struct {
	*base
	members  *members
	leveling *leveling
	joining  *joining
	resets   *resets
	rivals   *rivals
}

// hear takes in what gossip says of a run of a node. memberlist calls it with its locks held: it must not
// wait.
func (nw *news) hear(s *roster.Sighting) {
	before := nw.directory.Hear(s)
	if s.Gossip != nw.gossipName() {
		nw.report(before, s)
		if s.Status == roster.Alive && (s.Name == nw.cfg.Name || s.Node == nw.id) {
			signal(nw.rivals.wake)
		}
		nw.endIfOtherKind(s)
	}
	nw.changed.Notify()
	if in := nw.inst.Load(); in != nil {
		signal(in.chronicle.sighted)
		if l := in.leading.now(); l != nil {
			signal(l.controlling.kick)
		}
	}
}

// report logs who joined and who left, and gives up the connection to a node that is gone.
func (nw *news) report(before, s *roster.Sighting) {
	if nw.ctx.Err() != nil {
		return // gossip goes on for a moment when the node has closed
	}
	was := before != nil && before.Status == roster.Alive
	switch is := s.Status == roster.Alive; {
	case is && !was:
		nw.log.Info("joined", keyPeer, s.Name, keyAddr, s.Addr)
	case was && !is:
		nw.reportGone(s)
		nw.spawn(func() {
			nw.peers.Drop(s.Node)
			nw.instance().suspecting.suspectLeader(s.Node)
		})
	}
}

// reportGone logs how a node went: for good, in order and to come back, or without a word, which is what a
// crash looks like, and a cut line.
func (nw *news) reportGone(s *roster.Sighting) {
	switch {
	case s.Status == roster.Left:
		nw.log.Info("left", keyPeer, s.Name, keyAddr, s.Addr)
	case s.Status == roster.Stopped:
		nw.log.Info("stopped", keyPeer, s.Name, keyAddr, s.Addr)
	default:
		nw.log.Warn("lost", keyPeer, s.Name, keyAddr, s.Addr)
	}
}

// endIfOtherKind refuses to go on if this node waits for a farm that keeps its state in another way: it would
// wait for ever.
func (nw *news) endIfOtherKind(s *roster.Sighting) {
	if s.Status != roster.Alive || s.Cluster == "" || s.Durable == nw.durable() {
		return
	}
	if nw.standing.Identity().ClusterID == "" && !nw.fit.ready() {
		nw.fail(fmt.Errorf("%w: %s at %s has durable=%v, this node durable=%v", ErrOtherKind, s.Name, s.Addr,
			s.Durable, nw.durable()))
	}
}

// admit decides whether gossip may take in a run of a node.
func (nw *news) admit(s *roster.Sighting) error {
	if nw.directory.Departed(s.Gossip) {
		return roster.ErrDeparted
	}
	cluster := nw.self().cluster
	who := fmt.Sprintf("%s at %s", s.Name, s.Addr)
	if err := nw.leveling.endIfLeftBehind(s.MinProtocol, s.Cluster, who); err != nil {
		return err
	}
	if cluster == "" || s.Cluster == "" || s.Cluster == cluster {
		if err := nw.leveling.refuseTooOld(s.MaxProtocol, who); err != nil {
			return err
		}
	}
	if cluster != "" && s.Cluster != "" && s.Cluster != cluster {
		if nw.givesWay(s, cluster) {
			nw.giveUpFarm(s)
		}
		if supersedes(s.Cluster, cluster) || supersedes(cluster, s.Cluster) {
			return nil // one of the two is about to join the other
		}
		// a joiner may have gone to the other farm, and older news of it may still come, or be here
		nw.members.estrange(s.Server())
		err := fmt.Errorf("%w: %s at %s has cluster ID %s, this node %s", ErrOtherFarm, s.Name, s.Addr,
			s.Cluster, cluster)
		nw.warnOnce("admit "+s.Gossip, toMerge(s.Cluster, cluster), err)
		return err
	}
	return nil
}

// toMerge says what to do about two farms that refuse each other.
func toMerge(a, b string) string {
	if forked(a, b) {
		return "this farm was re-formed twice, by a restore or a recovery on each side of a partition; " +
			"decide which of the two " +
			"goes on, stop the nodes of the other one, move their data away, and start them with Join " +
			"addresses of the first"
	}
	return "a node of another farm with the same name and secret was refused; " +
		"to merge the two, stop it, move its data away, and start it with this farm's Join addresses"
}
