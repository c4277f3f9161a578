package cluster

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Role says what a member may do.
type Role string

const (
	Ordinary Role = ""        // votes, bootstraps, serves
	Front    Role = "front"   // forwards every request; never votes
	Staging  Role = "staging" // takes no user requests; never votes
)

func (r Role) valid() bool { return r == Ordinary || r == Front || r == Staging }

// Status is whether a member is there, as far as gossip knows.
type Status string

// The values of Status.
const (
	Alive   Status = roster.Alive
	Dead    Status = roster.Dead    // it does not answer; gossip cannot know whether it runs
	Stopped Status = roster.Stopped // it said that it stops, and is to come back, as far as is known
	Left    Status = roster.Left    // it said that it stops, and has left the farm for good
)

// Vote is a member's part in the Raft configuration.
type Vote string

// The values of Vote; "" is a member that is not in the configuration.
const (
	Voter    Vote = "voter"
	Nonvoter Vote = "nonvoter" // it has the state but no vote, or none yet
)

// Member is one node of the farm, as the node that answers knows it.
type Member struct {
	ID      string            // NodeID
	Name    string            // for people
	Addr    string            // peer address, host:port
	Role    Role              //
	Vote    Vote              // Voter, Nonvoter, or "": not in the Raft configuration
	Status  Status            // Alive, Dead, Stopped or Left
	Version string            // of the application
	Level   int               // the highest protocol level it speaks, as last heard
	Applied uint64            // the index it had applied when last heard
	Tags    map[string]string // see SetTag

	// Removed says that an operator has told this node that the member is over (farmctl leave -dead). One that
	// is Dead, without a Vote and not Removed was given up by the farm after its silence, and may run behind a
	// cut line. The node that leads is told; others may not know.
	Removed bool
}

// State is what a node knows of its cluster at one moment. It is a copy: keep it, change it.
type State struct {
	Farm      string
	ClusterID string // "" until known
	Self      string // NodeID of this node
	Leader    string // NodeID; "" = none known
	Term      uint64 // Raft's
	Applied   uint64 // index of the last entry applied here
	Ready     bool   // this node has been a caught-up member
	Durable   bool   // the state is kept on disk

	// Protocol levels. Level is the one in force, which only rises. CommonLevel is the highest that all
	// members speak: Finalize would put it in force. HeldBack names the members that speak less than others
	// do, each with what it speaks.
	Level       int
	CommonLevel int
	HeldBack    []string

	// Divergence says which members' copies of the state differ and what follows from it, for people; "" if
	// none are known to. Undecided means that no majority has the same copy: the farm takes no writes, and
	// Propose fails with ErrDiverged.
	Divergence string
	Undecided  bool

	// Awaits says what the stop of this node waits for, for people; "" if for nothing. See Node.PrepareStop.
	Awaits string

	Members []Member // sorted by Name; this node is among them

	// Unseen are the NodeIDs of nodes in the Raft configuration that this node knows nothing else of: it has not
	// seen them since it started. They may well run.
	Unseen []string
}

// Member returns the member whose NodeID is id.
func (s State) Member(id string) (Member, bool) {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return s.Members[i], true
}

// State returns what this node knows now. It does no I/O.
func (n *Node) State() State {
	in := n.instance()
	leader, _ := in.leader.get()
	me := n.self()
	s := State{Farm: n.cfg.Farm, ClusterID: me.cluster, Self: n.id, Leader: wire.NodeOf(leader),
		Term: in.raft.CurrentTerm(), Applied: n.progress.load(), Ready: n.fit.ready(), Durable: n.durable()}
	v := n.leveling.look()
	s.Level, s.CommonLevel, s.HeldBack = int(v.force), int(v.common), v.behind
	d := in.witness.divergence()
	s.Divergence, s.Undecided = d.text, d.stop
	s.Awaits = n.departure.awaited()
	votes, unseen := map[string]Vote{}, map[string]bool{}
	for _, srv := range in.configuration().Servers {
		votes[string(srv.ID)] = voteOf(srv.Suffrage)
		unseen[wire.NodeOf(string(srv.ID))] = true
	}
	for _, seen := range n.members.all() {
		s.Members = append(s.Members, n.members.member(seen, votes))
		delete(unseen, seen.Node)
	}
	s.Unseen = sortedKeys(unseen)
	slices.SortFunc(s.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return s
}

func voteOf(s raft.ServerSuffrage) Vote {
	if s == raft.Voter {
		return Voter
	}
	return Nonvoter
}

// member is a sighting as a program sees it. votes are those of the servers in the configuration.
func (m *members) member(s *roster.Sighting, votes map[string]Vote) Member {
	out := Member{ID: s.Node, Name: s.Name, Addr: s.Addr, Role: Role(s.Role), Vote: votes[s.Server()],
		Status:  Status(s.Status),
		Version: s.Version, Level: int(s.MaxProtocol), Applied: s.Applied, Tags: maps.Clone(s.Tags),
		Removed: m.directory.Over(s.Gossip)}
	if s.Node == m.id {
		out.Applied = m.progress.load()
	}
	return out
}
