package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/succession"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

const (
	quorumEvery    = 500 * time.Millisecond
	lossPatience   = 3 * time.Second  // without a leader, before what is left of the farm is surveyed
	lossWarning    = 10 * time.Second // without a leader, before the log says so
	reformPatience = 30 * time.Second
)

// watchQuorum looks whether the farm has a quorum. Without one there are reads only; people are told what to
// do. In memory mode the lost voters, once they are proven gone, are lost for good, and the farm re-forms
// itself.
func (n *Node) watchQuorum() {
	var since time.Time // when the leader was missed first
	for sleep(n.ctx, quorumEvery) {
		n.followEpoch()
		if n.fit.err() != nil {
			continue // see mend
		}
		in := n.instance()
		leader, _ := in.leader.get()
		empty := len(in.configuration().Servers) == 0
		if leader != "" && !in.quiet.begun.Load() || empty && !n.standing.Belongs() {
			since = time.Time{}
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if empty {
			if time.Since(since) > lossWarning {
				n.warnOnce("quorum", "this node has nothing of its farm's state and waits for one that has; "+
					"start those, or, "+
					"if they are lost for good, restore a backup",
					fmt.Errorf("%w since %v", ErrNoLeader, time.Since(since).Round(time.Second)))
			}
			continue
		}
		if d := time.Since(since); d > lossPatience {
			n.introduce()
			n.reformItself(in, d)
		}
		if d := time.Since(since); d > lossWarning {
			n.warnOnce("quorum", "the farm has no leader and takes no writes; start the missing nodes "+
				"again, or, if too many "+
				"are lost for good, run farmctl recover",
				fmt.Errorf("%w since %v; missing: %s", ErrNoLeader, d.Round(time.Second), n.members.absent(in)))
		}
	}
}

// introduce calls every member that is alive, for what they may have to say at the handshake: a non-voter
// whose disk was set back is refused by the leader's calls, without being told, and has no reason to call
// anybody itself.
func (n *Node) introduce() {
	ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
	defer cancel()
	atOnce(n.members.others(), func(s *roster.Sighting) { n.peers.Call(ctx, s.Node, wire.MethodStatus, nil) })
}

// reformItself re-forms a memory farm whose lost voters are proven gone; without is for how long there has
// been no leader. Those who are left take turns, so that they do not stand in each other's way; whatever one
// begins, another one can end, and one of them may see what another one cannot.
func (n *Node) reformItself(in *instance, without time.Duration) {
	ctx, cancel := context.WithTimeout(n.ctx, reformPatience)
	defer cancel()
	cluster := n.self().cluster
	if n.durable() {
		n.resumeIfAbandoned(in, func() *succession.Survey { return n.look(ctx, cluster, nil, false) })
		return
	}
	s := n.look(ctx, cluster, nil, false)
	if err := s.Verdict(); err != nil {
		n.log.Debug("the farm is not re-formed", keyError, err)
		n.resumeIfAbandoned(in, func() *succession.Survey { return s })
		return
	}
	turn := slices.Index(s.Left(), in.server)
	if turn < 0 || without < lossPatience+time.Duration(turn)*reformPatience {
		return
	}
	if err := n.succeed(ctx, cluster, nil); err != nil {
		n.warnOnce("reform", "the farm could not be re-formed; trying again", err)
	}
}

// gone reports whether there is proof that a memory server's process is gone, and its memory with it: it has
// said, after its Raft had ended, that it stops; or its node answers, at its own address, as another
// incarnation, which is returned. That gossip takes it for dead proves nothing.
func (n *Node) gone(ctx context.Context, server string) (proven bool, now string) {
	addr, ended := n.directory.Where(server)
	if n.durable() || ended || addr == "" {
		return ended && !n.durable(), ""
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	st, err := n.askStatus(ctx, addr, wire.NodeOf(server))
	if err != nil || st.server == server || wire.NodeOf(st.server) != wire.NodeOf(server) {
		return false, ""
	}
	return true, st.server
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
	s := n.look(ctx, out.ClusterID, nil, false)
	if len(s.Servers()) == 0 {
		return out, fmt.Errorf("cluster: survey: this node is not a member and holds nothing: %w",
			ErrNoLeader)
	}
	best := s.Best()
	for _, id := range s.Servers() {
		out.Servers = append(out.Servers, n.survivor(s, best, id))
	}
	out.Quorum = s.Runs()
	out.Successor = wire.NodeOf(best.Server)
	return out, nil
}

func (n *Node) survivor(s *succession.Survey, best *succession.Report, id string) Survivor {
	v := Survivor{NodeID: wire.NodeOf(id), Server: id, Vote: Nonvoter, Gone: s.Gone[id],
		Applied: n.directory.Reached(id)}
	if slices.Contains(best.Voters, id) {
		v.Vote = Voter
	}
	v.Addr, _ = n.directory.Where(id)
	if seen := n.directory.Get(v.NodeID); seen != nil {
		v.Name = seen.Name
	}
	if v.Addr == "" {
		v.Addr = n.directory.Addr(v.NodeID)
	}
	if r := s.Reports[id]; r != nil {
		v.Answers, v.Term, v.Last = true, r.Term, r.Last
	}
	return v
}

// Recover re-forms a farm that has lost its quorum from the servers that answer. lost holds the NodeIDs of
// those that are gone, by the word of the caller: what was acknowledged by them alone is given up, and should
// one of them run after all, it gives up its state when it meets the others again, moved aside if it has a
// data directory. Everybody who has a vote must answer or be lost. Look at Survey before.
//
// It fails, and changes nothing, if there is a quorum or somebody is missing. Should it fail half way, nodes
// may have stopped to vote: try again. If a quorum turns up after all, they vote again by themselves; if they
// have data directories, also once the one that they have promised to follow does.
func (n *Node) Recover(ctx context.Context, lost []string) error {
	return n.recoverFarm(ctx, n.self().cluster, lost)
}

// recoverFarm is Recover of the farm that is called cluster.
func (n *Node) recoverFarm(ctx context.Context, cluster string, lost []string) error {
	s := n.look(ctx, cluster, nil, false)
	given := map[string]bool{}
	for _, id := range s.Servers() {
		if slices.Contains(lost, wire.NodeOf(id)) {
			given[id] = true
		}
	}
	if err := n.succeed(ctx, cluster, given); err != nil {
		return fmt.Errorf("cluster: recover: %w", err)
	}
	return nil
}
