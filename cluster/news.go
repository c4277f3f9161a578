package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
)

// news takes in what gossip says, and does what follows for this node and its farm. It remembers nothing; what is
// heard goes into base.directory.
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
			signal(nw.rivals.news)
		}
		nw.endIfOtherKind(s)
	}
	nw.changed.notify()
	if in := nw.inst.Load(); in != nil {
		signal(in.sighted)
		if l := in.lead.Load(); l != nil {
			signal(l.kick)
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
			nw.instance().suspectLeader(s.Node)
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

// endIfOtherKind refuses to go on if this node waits for a farm that keeps its state in another way: it would wait
// for ever.
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
	if err := nw.leveling.leftBehind(s.MinProtocol, s.Cluster, fmt.Sprintf("%s at %s", s.Name, s.Addr)); err != nil {
		return err
	}
	if cluster == "" || s.Cluster == "" || s.Cluster == cluster {
		if err := nw.leveling.tooOld(s.MaxProtocol, fmt.Sprintf("%s at %s", s.Name, s.Addr)); err != nil {
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

// noteRefusal notes what became of a call, nil if somebody answered, and warns of a node that is there and
// has nothing in common with this one: it will be so until somebody changes a setting.
func (j *joining) noteRefusal(addr string, err error) {
	j.contacts.called(addr, err)
	for _, reason := range []error{trust.ErrWrongSecret, trust.ErrWrongFarm, trust.ErrWrongAuthority,
		trust.ErrExpired,
		port.ErrRefused} {
		if errors.Is(err, reason) {
			j.warnOnce("refusal "+addr, "another node answers, but its settings keep it from being in one "+
				"farm with this node. Give all nodes the "+
				"same secrets and the same name of the farm. This node keeps trying.",
				fmt.Errorf("%s: %w", addr, err))
			return
		}
	}
}

// endIfAstray ends a node that was never a member if all that Join stands for are nodes of a farm of another
// name. As long as one of them may be another one, this node keeps trying: then it may be the others that are
// set up wrongly.
func (j *joining) endIfAstray(seeds []string) {
	if len(seeds) == 0 || !j.seeds.whole() || j.self().cluster != "" || !j.members.alone() {
		return
	}
	var found error
	for _, addr := range seeds {
		if found = j.contacts.refusal(addr); !errors.Is(found, trust.ErrOtherName) {
			found = nil
			break
		}
	}
	if found != nil {
		j.fail(fmt.Errorf("%w: no node in Join belongs to the farm that this node looks for; give all nodes "+
			"the same Farm, or correct Join: %w", ErrOtherFarm, found))
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// rivals are nodes that carry this one's name, or run on a copy of its data directory.
type rivals struct {
	*base
	news      chan struct{} // holds one: there may be one
	askStatus func(ctx context.Context, addr, node string) (status, error)
}

// watch looks after another node that carries this one's name, or runs on a copy of its data directory.
// The one that started first goes on; but gossip may speak of a process that is long gone, so this node gives
// up only to one that answers. It asks again, since the line between the two may be cut just now.
func (rv *rivals) watch() {
	for {
		select {
		case <-rv.news:
		case <-rv.ctx.Done():
			return
		}
		for rv.endIfOlder() && sleep(rv.ctx, askRivals) {
		}
	}
}

const askRivals = 3 * time.Second

// endIfOlder makes this node give up if an older rival answers. It reports whether there is one that does
// not.
func (rv *rivals) endIfOlder() (unsure bool) {
	rivals := slices.DeleteFunc(rv.directory.Rivals(rv.cfg.Name, rv.id, rv.gossipName()),
		func(s *roster.Sighting) bool {
			return !rv.older(s) || s.Addr == rv.advertise // that address is this node's now
		})
	var live names
	atOnce(rivals, func(s *roster.Sighting) { live.set(s.Gossip, rv.lives(s)) })
	for _, s := range rivals {
		switch {
		case !live.has(s.Gossip):
			unsure = true
		case s.Node == rv.id && s.Name != rv.cfg.Name:
			rv.fail(fmt.Errorf("%w: %q at %s runs on the same data directory, copied", ErrNameTaken, s.Name,
				s.Addr))
		default:
			rv.fail(fmt.Errorf("%w: %q is at %s; give one of the two another Name", ErrNameTaken, s.Name,
				s.Addr))
		}
	}
	return unsure
}

func (rv *rivals) older(s *roster.Sighting) bool {
	return s.Start < rv.started || s.Start == rv.started && s.Gossip < rv.gossipName()
}

// lives asks the process behind a sighting, at its own address, whether it is that very run.
func (rv *rivals) lives(s *roster.Sighting) bool {
	ctx, cancel := context.WithTimeout(rv.ctx, dialTimeout)
	defer cancel()
	st, err := rv.askStatus(ctx, s.Addr, s.Node)
	return err == nil && st.gossip == s.Gossip
}
