package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	controlEvery  = 250 * time.Millisecond
	changeTimeout = 5 * time.Second
)

// situation is all that the voters' controller looks at: Raft's configuration, and what gossip says of the nodes.
type situation struct {
	self      string // server ID of the leader, which decides
	servers   []raft.Server
	nodes     []*sighting       // newest run of each node
	caughtUp  map[string]bool   // server IDs of non-voters that have the leader's state
	left      map[string]uint64 // server IDs removed on request, with the boot counter of the run that stops
	maxVoters int
}

// change is one step towards the configuration that should be.
type change struct {
	kind   changeKind
	server string
}

type changeKind int

const (
	keep changeKind = iota
	addNonvoter
	promote
	demote
	remove
)

// plan returns the next single change, or keep. It is pure: everything it knows is in s.
func (s *situation) plan() change {
	for _, srv := range s.servers {
		if s.replaced(string(srv.ID)) {
			return change{remove, string(srv.ID)}
		}
		if s.demotable(srv) {
			return change{demote, string(srv.ID)}
		}
	}
	for _, n := range s.nodes {
		if s.joinable(n) && s.suffrage(n.server()) == absent {
			return change{addNonvoter, n.server()}
		}
	}
	for _, n := range s.nodes {
		if s.caughtUp[n.server()] && s.promotable(n.server()) {
			return change{promote, n.server()}
		}
	}
	return change{}
}

const absent raft.ServerSuffrage = -1

func (s *situation) suffrage(server string) raft.ServerSuffrage {
	for _, srv := range s.servers {
		if string(srv.ID) == server {
			return srv.Suffrage
		}
	}
	return absent
}

func (s *situation) node(id string) *sighting {
	i := slices.IndexFunc(s.nodes, func(n *sighting) bool { return n.node == id })
	if i < 0 {
		return nil
	}
	return s.nodes[i]
}

// replaced reports whether the node of server runs as another incarnation now: then this one, and its vote, is gone for
// good. It must go before the new one comes, or the vote of one node would count twice.
func (s *situation) replaced(server string) bool {
	n := s.node(nodeOf(server))
	return server != s.self && n != nil && n.status == Alive && n.server() != server
}

// demotable reports whether a voter runs in a role that has no vote now, and others vote.
func (s *situation) demotable(srv raft.Server) bool {
	n := s.node(nodeOf(string(srv.ID)))
	if srv.Suffrage != raft.Voter || n == nil || n.status != Alive || n.server() != string(srv.ID) || n.role == Ordinary {
		return false
	}
	return slices.ContainsFunc(s.servers, func(o raft.Server) bool { return o.Suffrage == raft.Voter && o.ID != srv.ID })
}

// joinable reports whether a node may come into the configuration.
func (s *situation) joinable(n *sighting) bool {
	return n.status == Alive && !n.leaving && n.boot > s.left[n.server()]
}

// promotable reports whether the configuration lacks a voter that server can be.
func (s *situation) promotable(server string) bool {
	n := s.node(nodeOf(server))
	if n == nil || n.server() != server || !s.joinable(n) || n.role != Ordinary || s.suffrage(server) != raft.Nonvoter {
		return false
	}
	voters, standby := 0, 0
	for _, srv := range s.servers {
		other := s.node(nodeOf(string(srv.ID)))
		switch {
		case srv.Suffrage == raft.Voter:
			voters++
		case other != nil && other.role == Ordinary && s.joinable(other):
			standby++
		}
	}
	return voters < oddVoters(voters+standby, s.maxVoters)
}

// oddVoters returns how many of n nodes should vote: an odd number from three on, since an even one tolerates no more
// failures, and two of two.
func oddVoters(n, limit int) int {
	n = min(n, limit)
	if n > 2 && n%2 == 0 {
		n--
	}
	return n
}

// control brings the configuration, one change at a time, to what it should be, for as long as this node leads.
func (l *leadership) control() {
	seen := map[string]uint64{} // what this node had at its last look, for each non-voter that answered
	for {
		s := l.in.node.situation()
		s.caughtUp = l.caughtUp(s, seen)
		s.left = l.removedOnRequest()
		if c := s.plan(); c.kind != keep {
			if err := l.carryOut(c); err != nil {
				l.in.log.Debug("change of the configuration failed", keyServer, c.server, keyError, err)
			} else {
				l.in.node.changed.notify()
				continue
			}
		}
		t := time.NewTimer(controlEvery)
		select {
		case <-t.C:
		case <-l.kick:
			t.Stop()
		case <-l.ctx.Done():
			t.Stop()
			return
		}
	}
}

// situation collects what this node knows, but for what only a leader can.
func (n *Node) situation() *situation {
	in := n.instance()
	s := &situation{self: in.server, servers: in.configuration().Servers, maxVoters: n.cfg.MaxVoters}
	cluster := n.self().cluster
	for _, seen := range n.directory.all() {
		if seen.durable == n.durable() && (seen.cluster == "" || seen.cluster == cluster) && !n.contested(seen) {
			s.nodes = append(s.nodes, seen)
		}
	}
	return s
}

// contested reports whether another live run claims the same NodeID or name: one of the two is about to give up.
func (n *Node) contested(s *sighting) bool {
	for _, other := range n.directory.rivals(s.name, s.node, s.gossip) {
		if s.status == Alive && other.addr != s.addr {
			return true
		}
	}
	return false
}

// caughtUp returns the non-voters that have all that this node had at the look before, and notes in seen what it has now.
// To ask for what it has now would be too much: a follower learns with the next append that an entry is committed, so under
// load it is always behind by some, and would never get its vote.
func (l *leadership) caughtUp(s *situation, seen map[string]uint64) map[string]bool {
	out := map[string]bool{}
	index, _ := l.in.fsm.view()
	for _, srv := range s.servers {
		id := string(srv.ID)
		if srv.Suffrage == raft.Voter || !s.promotable(id) {
			delete(seen, id)
			continue
		}
		applied, ok := l.applied(id)
		before, looked := seen[id]
		if !ok {
			delete(seen, id)
			continue
		}
		out[id] = looked && applied >= before
		seen[id] = index
	}
	return out
}

// applied asks a server how far it is; false if it does not say.
func (l *leadership) applied(server string) (index uint64, ok bool) {
	ctx, cancel := context.WithTimeout(l.ctx, time.Second)
	defer cancel()
	out, _, err := l.in.node.peers.call(ctx, nodeOf(server), methodStatus, nil)
	if err != nil {
		return 0, false
	}
	st, err := parseStatus(out)
	return st.applied, err == nil && st.server == server
}

func (l *leadership) carryOut(c change) error {
	r, id := l.in.raft, raft.ServerID(c.server)
	var f raft.IndexFuture
	switch c.kind {
	case addNonvoter:
		f = r.AddNonvoter(id, raft.ServerAddress(c.server), 0, changeTimeout)
	case promote:
		f = r.AddVoter(id, raft.ServerAddress(c.server), 0, changeTimeout)
	case demote:
		f = r.DemoteVoter(id, 0, changeTimeout)
	case remove:
		f = r.RemoveServer(id, 0, changeTimeout)
	}
	return l.in.guard(f)
}

func (l *leadership) removedOnRequest() map[string]uint64 {
	l.leftMu.Lock()
	defer l.leftMu.Unlock()
	return maps.Clone(l.left)
}

// letGo notes that a run of a node is stopping, so that it is not added again; the next run may be.
func (l *leadership) letGo(server string, boot uint64) {
	l.leftMu.Lock()
	defer l.leftMu.Unlock()
	l.left[server] = boot
}

// removeOnRequest takes a stopping node out of the configuration; boot is the counter of the run that stops.
func (l *leadership) removeOnRequest(ctx context.Context, server string, boot uint64) error {
	if err := l.await(ctx); err != nil {
		return err
	}
	l.letGo(server, boot)
	s := l.in.node.situation()
	switch s.suffrage(server) {
	case absent:
		return nil
	case raft.Voter:
		if len(l.in.voters()) == 1 {
			return fmt.Errorf("%s is the only voter: %w", server, errInternal)
		}
	}
	return l.carryOut(change{remove, server})
}

// answerRemove is the leader's side of a node's request to be removed. A node can ask for itself only.
func (n *Node) answerRemove(ctx context.Context, from hello, server string) error {
	if nodeOf(from.source) != nodeOf(server) {
		return errNotMe
	}
	l := n.instance().lead.Load()
	if l == nil {
		return errNotLeader
	}
	return l.removeOnRequest(ctx, server, from.boot)
}

// status is what a node says of itself over rpc.
type status struct {
	gossip  string
	server  string
	applied uint64
}

func (n *Node) answerStatus() []byte {
	b := appendString(appendString(nil, n.gossipName()), n.instance().server)
	index, _ := n.instance().fsm.view()
	return binary.AppendUvarint(b, index)
}

func parseStatus(b []byte) (status, error) {
	r := wireReader{b: b}
	s := status{gossip: r.string(), server: r.string(), applied: r.uvarint()}
	return s, endOf(&r)
}
