package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Stats is what a node knows of its own work, at one moment: admin.Stats, whose fields have their units.
// Operators get the same from a node (admin.Client.Stats, farmctl stats). docs/operating.md says what to do
// when a value is bad.
type Stats = admin.Stats

// Stats returns what this node measures of itself and of its connections. It does no I/O and waits for
// nobody, so that it may be asked every second, in any state of the node, also after Close: then it says how
// things were at the end. It is a copy.
func (n *Node) Stats() Stats {
	in := n.instance()
	leader, _ := in.leader.get()
	conf := in.configuration()
	s := Stats{Node: n.id, Name: n.cfg.Name, At: time.Now(), Role: cmp.Or(string(n.cfg.Role), "ordinary"),
		Vote: voteIn(conf, in.server), RaftRole: in.figures.raftRole(), Leader: wire.NodeOf(leader),
		Term:  in.raft.CurrentTerm(),
		Ready: n.fit.ready()}
	if err := cmp.Or(n.Err(), n.fit.err()); err != nil {
		s.Failure = err.Error()
	}
	m := &n.meters
	s.Proposals = admin.Proposals{Waiting: queueOf(&m.waiting),
		Done: latencyOf(&m.done), Failed: m.failed.Load(),
		Retries: m.retries.Load(), Credit: in.origin.creditStats()}
	if l := in.leading.now(); l != nil {
		s.Leading = l.sequencer.intake.stats(s.At)
	}
	s.Commit, s.Store, s.Apply = latencyOf(&m.commit), latencyOf(&m.store), latencyOf(&m.apply)
	s.Log = in.figures.logStats()
	s.Snapshot = m.snapshots.read(in.snapshotting.stateSize.Load())
	s.Restarted, s.Restarts = m.restarts.read()
	s.Peers = []admin.Peer{} // never null for scripts
	for _, seen := range n.members.all() {
		if seen.Node != n.id {
			s.Peers = append(s.Peers, in.figures.peerStats(seen, conf, s.Log.Last))
		}
	}
	slices.SortFunc(s.Peers, func(a, b admin.Peer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node))
	})
	return s
}

// voteIn returns a server's part in a configuration, as admin has it.
func voteIn(conf raft.Configuration, server string) string {
	i := slices.IndexFunc(conf.Servers, func(s raft.Server) bool { return string(s.ID) == server })
	if i < 0 {
		return ""
	}
	return string(voteOf(conf.Servers[i].Suffrage))
}

// figures says how Raft fares here, for operators.
type figures struct {
	*core
	storage *storage
}

func (f *figures) raftRole() admin.RaftRole {
	if f.ctx.Err() != nil || f.layer.ctx.Err() != nil {
		return admin.RaftStopped
	}
	switch f.raft.State() {
	case raft.Leader:
		return admin.RaftLeader
	case raft.Candidate:
		return admin.RaftCandidate
	case raft.Follower:
		return admin.RaftFollower
	}
	return admin.RaftStopped
}

func (f *figures) logStats() admin.Log {
	applied, _ := f.fsm.View()
	s := admin.Log{Last: f.last(), Committed: max(f.raft.CommitIndex(), applied), Applied: applied}
	s.Lag = f.lag(s.Committed, applied)
	return s
}

// creditStats returns what the leader lets this node have with it.
func (o *originator) creditStats() admin.Credit {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := &o.flow
	return admin.Credit{Leader: o.sentTo, Given: queueOfLoad(f.credit), Used: queueOfLoad(f.aloft),
		Plain: f.plain}
}

// stats returns what the leader has taken in, and what it lets each origin have there.
func (i *intake) stats(now time.Time) admin.Leading {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now.Sub(i.turned) >= span {
		i.turnLocked(now)
	}
	s := admin.Leading{Waiting: queueOfLoad(i.taken), Credit: queueOfLoad(i.levelLocked())}
	for _, o := range i.origins {
		if o.active(now) {
			s.Origins++
		}
	}
	return s
}

func queueOfLoad(l load) admin.Queue {
	return admin.Queue{Count: int64(l.commands), Bytes: int64(l.bytes)}
}

// programStats is Stats, with what the program adds.
func (o *operators) programStats() (admin.Stats, error) {
	s := o.node.Stats()
	if o.cfg.Program.Stats == nil {
		return s, nil
	}
	b, err := json.Marshal(o.cfg.Program.Stats())
	if err != nil {
		return s, fmt.Errorf("cluster: Config.Program.Stats returned what is no JSON: %w", err)
	}
	s.Program = b
	return s, nil
}

// lag returns how much there is between two entries of this node's log.
func (f *figures) lag(to, from uint64) (l admin.Lag) {
	if from >= to {
		return l
	}
	l.Entries = to - from
	l.Bytes = f.storage.kept.Size(from+1) - f.storage.kept.Size(to+1)
	return l
}

// peerStats returns how another member is seen from here. The log of this node ends with last.
func (f *figures) peerStats(seen *roster.Sighting, conf raft.Configuration, last uint64) admin.Peer {
	p := admin.Peer{Node: seen.Node, Name: seen.Name, Status: seen.Status, Vote: voteIn(conf, seen.Server())}
	link := f.node.peers.State(seen.Node)
	p.Link = admin.Link{Connected: link.Connected, Since: link.Since, Heard: link.Heard}
	if link.Failure != nil {
		p.Link.Failure = link.Failure.Error()
	}
	to := f.layer.followers.known(seen.Server())
	if p.Follows = f.raft.State() == raft.Leader && p.Vote != ""; !p.Follows || to == nil {
		return p
	}
	at, heard, fed := to.known()
	p.Heard, p.Fed = heard, fed
	if p.LagKnown = at > 0; p.LagKnown {
		p.Lag = f.lag(last, at)
	}
	return p
}
