package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/succession"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	quorumEvery    = 500 * time.Millisecond
	lossPatience   = 3 * time.Second  // without a leader, before what is left of the farm is surveyed
	lossWarning    = 10 * time.Second // without a leader, before the log says so
	reformPatience = 30 * time.Second
)

// recovery has a farm without a quorum go on, and gets this node back to work if nothing comes of it. What
// the node has promised meanwhile is in standing; recovery itself remembers nothing.
type recovery struct {
	*base
	members  *members
	surveys  *surveys
	resets   *resets
	claims   *claims
	news     *news
	leveling *leveling
}

// watchQuorum looks whether the farm has a quorum. Without one there are reads only; people are told what to
// do. In memory mode the lost voters, once they are proven gone, are lost for good, and the farm re-forms
// itself.
func (rc *recovery) watchQuorum() {
	var since time.Time // when the leader was missed first
	for sleep.For(rc.ctx, quorumEvery) {
		rc.news.followEpoch()
		if rc.fit.err() != nil {
			continue // see mending
		}
		in := rc.instance()
		leader, _ := in.leader.get()
		empty := len(in.configuration().Servers) == 0
		if leader != "" && !in.quiet.begun.Load() || empty && !rc.standing.Belongs() {
			since = time.Time{}
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if empty {
			if time.Since(since) > lossWarning {
				rc.warnOnce("quorum", "this node has nothing of its farm's state and waits for one that has; "+
					"start those, or, "+
					"if they are lost for good, restore a backup",
					fmt.Errorf("%w since %v", ErrNoLeader, time.Since(since).Round(time.Second)))
			}
			continue
		}
		if d := time.Since(since); d > lossPatience {
			rc.introduce()
			rc.reformItself(in, d)
		}
		if d := time.Since(since); d > lossWarning {
			rc.warnOnce("quorum", "the farm has no leader and takes no writes; start the missing nodes "+
				"again, or, if too many "+
				"are lost for good, run farmctl recover",
				fmt.Errorf("%w since %v; missing: %s", ErrNoLeader, d.Round(time.Second), rc.members.absent(in)))
		}
	}
}

// introduce calls every member that is alive, because of what they may say at the handshake. A non-voter
// whose disk was set back needs that: the leader's calls refuse it without telling it, and it has no reason
// to call anybody itself.
func (rc *recovery) introduce() {
	ctx, cancel := context.WithTimeout(rc.ctx, dialTimeout)
	defer cancel()
	atOnce(rc.members.others(), func(s *roster.Sighting) { rc.peers.Call(ctx, s.Node, wire.MethodStatus, nil) })
}

// reformItself re-forms a memory farm whose lost voters are proven gone; without is for how long there has
// been no leader. Those who are left take turns, so that they do not stand in each other's way. What one
// begins, another one can end. One of them may see what another one cannot.
func (rc *recovery) reformItself(in *instance, without time.Duration) {
	ctx, cancel := context.WithTimeout(rc.ctx, reformPatience)
	defer cancel()
	cluster := rc.self().cluster
	if rc.durable() {
		rc.resumeIfAbandoned(in, func() *succession.Survey { return rc.surveys.look(ctx, cluster, nil, false) })
		return
	}
	s := rc.surveys.look(ctx, cluster, nil, false)
	if err := s.Verdict(); err != nil {
		rc.log.Debug("the farm is not re-formed", keyError, err)
		rc.resumeIfAbandoned(in, func() *succession.Survey { return s })
		return
	}
	turn := slices.Index(s.Left(), in.server)
	if turn < 0 || without < lossPatience+time.Duration(turn)*reformPatience {
		return
	}
	if err := rc.succeed(ctx, cluster, nil); err != nil {
		rc.warnOnce("reform", "the farm could not be re-formed; trying again", err)
	}
}

// Survivor is one server of a farm that may have lost its quorum, as Survey finds it.
type Survivor struct {
	NodeID  string
	Server  string // the incarnation that is configured
	Name    string // "" if nothing was heard of it
	Addr    string // where it was last
	Vote    Vote   // Voter or Nonvoter
	Answers bool   // it was asked just now and has answered
	Gone    bool   // it is proven that it lost what it had; never true for a server with a data directory
	Term    uint64 // of its last entry, if it answers
	Last    uint64 // index of its last entry, if it answers
	Applied uint64 // the highest index it was ever heard to have applied
}

// Survey is what is left of a farm.
type Survey struct {
	ClusterID string
	Quorum    bool       // enough voters answer, and take part: nothing has to be recovered
	Successor string     // NodeID of the server that Recover would go on with: nobody who answers holds more
	Servers   []Survivor // by name
}

// Survey asks every configured server what it holds. It changes nothing, and works without a quorum. A node
// that has never been a member has nothing to tell: it fails with ErrNoLeader.
func (n *Node) Survey(ctx context.Context) (Survey, error) {
	out := Survey{ClusterID: n.self().cluster}
	s := n.surveys.look(ctx, out.ClusterID, nil, false)
	if len(s.Servers()) == 0 {
		return out, fmt.Errorf("cluster: survey: this node is not a member and holds nothing: %w",
			ErrNoLeader)
	}
	best := s.Best()
	for _, id := range s.Servers() {
		out.Servers = append(out.Servers, n.surveys.describe(s, best, id))
	}
	out.Quorum = s.Runs()
	out.Successor = wire.NodeOf(best.Server)
	return out, nil
}

// Recover re-forms a farm that has lost its quorum from the servers that answer. lost holds the NodeIDs of
// those that are gone, by the word of the caller: what was acknowledged by them alone is given up. Should one
// of them run after all, it gives up its state when it meets the others again; with a data directory that is
// moved aside. Everybody who has a vote must answer or be lost. Look at Survey before.
//
// It fails, and changes nothing, if there is a quorum or somebody is missing. Should it fail half way, nodes
// may no longer vote: try again. If a quorum turns up after all, they vote again by themselves. With data
// directories they also do once the node votes again that they have promised to follow.
func (n *Node) Recover(ctx context.Context, lost []string) error {
	return n.recovery.recover(ctx, n.self().cluster, lost)
}

// recover is Recover of the farm that is called cluster.
func (rc *recovery) recover(ctx context.Context, cluster string, lost []string) error {
	s := rc.surveys.look(ctx, cluster, nil, false)
	given := map[string]bool{}
	for _, id := range s.Servers() {
		if slices.Contains(lost, wire.NodeOf(id)) {
			given[id] = true
		}
	}
	if err := rc.succeed(ctx, cluster, given); err != nil {
		return fmt.Errorf("cluster: recover: %w", err)
	}
	return nil
}
