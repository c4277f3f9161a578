package voting

import "time"

// Situation is all that a plan is made from: Raft's configuration, and what gossip and Raft say of the nodes.
// It is the same for a plan as for what else asks who has a place, and not changed by either.
type Situation struct {
	Self     string // server ID of the node that looks; for a plan that is the leader
	Servers  []Server
	Nodes    []Node                   // newest run of each node
	Strange  func(server string) bool // whether a server turned out to be of another farm; nil: none did
	CaughtUp map[string]bool          // server IDs of non-voters that have the leader's state
	// server IDs let go on request, with the boot counter of the run that stops
	Left      map[string]uint64
	Silent    map[string]time.Duration // for how long neither gossip nor Raft has had contact to a server
	MaxVoters int
	Level     byte // in force: who does not speak it stays out
	// nobody knows whose copy of the state is right: then votes are not moved, which would decide it
	Undecided bool
	DeadAfter time.Duration // of silence until a server is given up; 0: never

	byNode map[string]*Node   // of Nodes, by NodeID; see index
	byID   map[string]*Server // of Servers, by server ID
}

// Server is one of the servers of Raft's configuration.
type Server struct {
	ID    string // NodeID.incarnation
	Node  string // NodeID
	Votes bool
}

// Node is what gossip says of the newest run of a node.
type Node struct {
	ID          string // NodeID
	Server      string // server ID of the incarnation that runs
	Boot        uint64 // counts the runs of that incarnation
	Alive       bool
	Retiring    bool // it will stop soon, and takes part until then
	Leaving     bool // it is stopping
	Stopped     bool // it said so, and is gone
	Ordinary    bool // its role may vote
	MaxProtocol byte // the highest level that it speaks
}

// index makes what is looked up by ID, once: a plan asks for every node several times.
func (s *Situation) index() {
	if s.byNode != nil {
		return
	}
	s.byNode = make(map[string]*Node, len(s.Nodes))
	for i := range s.Nodes {
		s.byNode[s.Nodes[i].ID] = &s.Nodes[i]
	}
	s.byID = make(map[string]*Server, len(s.Servers))
	for i := range s.Servers {
		s.byID[s.Servers[i].ID] = &s.Servers[i]
	}
}

// Server returns what the configuration says of a server; nil if it is not in it.
func (s *Situation) Server(id string) *Server {
	s.index()
	return s.byID[id]
}

// Votes reports whether a server is a voter of the configuration.
func (s *Situation) Votes(server string) bool {
	srv := s.Server(server)
	return srv != nil && srv.Votes
}

// Node returns what is known of a node; nil if nothing is.
func (s *Situation) Node(id string) *Node {
	s.index()
	return s.byNode[id]
}

// Runs reports whether gossip hears the very incarnation that a server of the configuration is.
func (s *Situation) Runs(srv Server) bool {
	n := s.Node(srv.Node)
	return n != nil && n.Alive && n.Server == srv.ID
}

// Lives reports whether a server of the configuration is there; this node itself always is.
func (s *Situation) Lives(srv Server) bool { return srv.ID == s.Self || s.Runs(srv) }

// Stays reports whether it is there and not about to stop.
func (s *Situation) Stays(srv Server) bool {
	n := s.Node(srv.Node)
	return s.Lives(srv) && (n == nil || !n.Leaving && !n.Retiring)
}
