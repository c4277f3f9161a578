package cluster

import (
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// situation is all that the voters' controller looks at: Raft's configuration, and what gossip and Raft say of the nodes.
type situation struct {
	self      string // server ID of the leader, which decides
	servers   []raft.Server
	strange   func(server string) bool // whether a server turned out to be of another farm
	nodes     []*sighting              // newest run of each node
	caughtUp  map[string]bool          // server IDs of non-voters that have the leader's state
	left      map[string]uint64        // server IDs let go on request, with the boot counter of the run that stops
	silent    map[string]time.Duration // for how long neither gossip nor Raft has had contact to a server
	maxVoters int
	level     byte // in force: who does not speak it stays out
	undecided bool // nobody knows whose copy of the state is right: then votes are not moved, which would decide it
	deadAfter time.Duration

	byNode     map[string]*sighting           // of nodes, by NodeID; see index
	suffrageOf map[string]raft.ServerSuffrage // of servers, by server ID
}

// index makes what is looked up by ID, once: a plan asks for every node several times.
func (s *situation) index() {
	if s.byNode != nil {
		return
	}
	s.byNode = make(map[string]*sighting, len(s.nodes))
	for _, n := range s.nodes {
		s.byNode[n.node] = n
	}
	s.suffrageOf = make(map[string]raft.ServerSuffrage, len(s.servers))
	for _, srv := range s.servers {
		s.suffrageOf[string(srv.ID)] = srv.Suffrage
	}
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

// plan returns the next single change, or keep. It is pure: everything it knows is in s. The order matters: an old
// incarnation goes before the new one comes, and a dead voter before a stand-by takes its place, so that a vote is never
// counted twice and the number of voters never rises over what it should be.
func (s *situation) plan() change {
	steps := []func() change{s.planRemoval, s.planAddition, s.planPromotion, s.planBurial, s.planDemotion}
	if s.undecided {
		steps = steps[:2]
	}
	for _, f := range steps {
		if c := f(); c.kind != keep {
			return c
		}
	}
	return change{}
}

// planRemoval takes out, or takes the vote of, who is certainly not what the configuration says.
func (s *situation) planRemoval() change {
	for _, srv := range s.servers {
		if id := string(srv.ID); s.replaced(id) || s.strange != nil && s.strange(id) {
			return change{remove, id}
		}
		if !s.undecided && s.demotable(srv) {
			return change{demote, string(srv.ID)}
		}
	}
	return change{}
}

func (s *situation) planAddition() change {
	for _, n := range s.nodes {
		if s.joinable(n) && s.suffrage(n.server()) == absent {
			return change{addNonvoter, n.server()}
		}
	}
	return change{}
}

func (s *situation) planPromotion() change {
	if !s.lacksVoter() {
		return change{}
	}
	for _, n := range s.nodes {
		if s.caughtUp[n.server()] && s.eligible(n.server()) {
			return change{promote, n.server()}
		}
	}
	return change{}
}

// planBurial removes nodes that have been silent for too long: a non-voter at once, a voter only if a stand-by can take
// its place, or if those that live are an odd number of at least three. Else a removal would only make the next loss
// worse: a dead voter's seat is there for it when it comes back.
func (s *situation) planBurial() change {
	living, standby := 0, false
	for _, srv := range s.servers {
		id := string(srv.ID)
		switch voter := srv.Suffrage == raft.Voter; {
		case voter && !s.dead(id):
			living++
		case !voter && s.caughtUp[id]:
			standby = true
		}
	}
	for _, srv := range s.servers {
		id := string(srv.ID)
		if s.dead(id) && (srv.Suffrage != raft.Voter || standby || living >= 3 && living%2 == 1) {
			return change{remove, id}
		}
	}
	return change{}
}

// dead reports whether neither gossip nor Raft has had contact to a server for so long that it is given up.
func (s *situation) dead(server string) bool {
	return server != s.self && s.deadAfter > 0 && s.silent[server] >= s.deadAfter
}

func (s *situation) anyDead() bool {
	return slices.ContainsFunc(s.servers, func(srv raft.Server) bool { return s.dead(string(srv.ID)) })
}

// planDemotion takes the vote from a node when there are more voters than there should be, which happens when others were
// removed or MaxVoters was lowered. It waits until all voters live, and never takes the leader's.
func (s *situation) planDemotion() change {
	voters, standby := s.count()
	if voters <= oddVoters(voters+standby, s.maxVoters) {
		return change{}
	}
	last := ""
	for _, srv := range s.servers {
		id := string(srv.ID)
		if srv.Suffrage != raft.Voter {
			continue
		}
		if n := s.node(wire.NodeOf(id)); id != s.self && (n == nil || !s.joinable(n)) {
			return change{}
		}
		if id != s.self {
			last = max(last, id)
		}
	}
	if last == "" {
		return change{}
	}
	return change{demote, last}
}

const absent raft.ServerSuffrage = -1

func (s *situation) suffrage(server string) raft.ServerSuffrage {
	s.index()
	if suffrage, ok := s.suffrageOf[server]; ok {
		return suffrage
	}
	return absent
}

func (s *situation) node(id string) *sighting {
	s.index()
	return s.byNode[id]
}

// replaced reports whether the node of server runs as another incarnation now: then this one, and its vote, is gone for
// good. It must go before the new one comes, or the vote of one node would count twice.
func (s *situation) replaced(server string) bool {
	n := s.node(wire.NodeOf(server))
	return server != s.self && n != nil && n.status == Alive && n.server() != server
}

// demotable reports whether a voter runs in a role that has no vote now, and others vote.
func (s *situation) demotable(srv raft.Server) bool {
	n := s.node(wire.NodeOf(string(srv.ID)))
	if srv.Suffrage != raft.Voter || n == nil || n.status != Alive || n.server() != string(srv.ID) || n.role == Ordinary {
		return false
	}
	return slices.ContainsFunc(s.servers, func(o raft.Server) bool { return o.Suffrage == raft.Voter && o.ID != srv.ID })
}

// joinable reports whether a node may come into the configuration.
func (s *situation) joinable(n *sighting) bool {
	return n.status == Alive && !n.leaving && n.boot > s.left[n.server()] && n.maxProtocol >= s.level
}

// promotable reports whether the configuration lacks a voter that server can be.
func (s *situation) promotable(server string) bool { return s.eligible(server) && s.lacksVoter() }

// eligible reports whether server could vote and does not.
func (s *situation) eligible(server string) bool {
	n := s.node(wire.NodeOf(server))
	return n != nil && n.server() == server && s.joinable(n) && n.role == Ordinary && s.suffrage(server) == raft.Nonvoter
}

// lacksVoter reports whether fewer nodes vote than should.
func (s *situation) lacksVoter() bool {
	voters, standby := s.count()
	return voters < oddVoters(voters+standby, s.maxVoters)
}

// count returns the number of voters, and of the other configured nodes that could vote.
func (s *situation) count() (voters, standby int) {
	for _, srv := range s.servers {
		n := s.node(wire.NodeOf(string(srv.ID)))
		switch {
		case srv.Suffrage == raft.Voter:
			voters++
		case n != nil && n.role == Ordinary && s.joinable(n):
			standby++
		}
	}
	return voters, standby
}

// settled returns how many nodes vote, and how many should by this node's MaxVoters; false if somebody is missing.
func (s *situation) settled() (voters, wanted int, ok bool) {
	for _, srv := range s.servers {
		if n := s.node(wire.NodeOf(string(srv.ID))); n == nil || n.server() != string(srv.ID) || !s.joinable(n) {
			return 0, 0, false
		}
	}
	voters, standby := s.count()
	return voters, oddVoters(voters+standby, s.maxVoters), voters > 0
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
