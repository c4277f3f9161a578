package voting

import "slices"

// Change is one step towards the configuration that should be.
type Change struct {
	Kind   Kind
	Server string // server ID
}

// Kind is what a change does to a server.
type Kind int

// The kinds of changes. Keep is none: the configuration is as it should be.
const (
	Keep Kind = iota
	AddNonvoter
	Promote
	Demote
	Remove
)

// Plan returns the next single change, or Keep. It is pure: everything it knows is in s. The order matters:
// an old incarnation goes before the new one comes, and a dead voter before a stand-by takes its place, so
// that a vote is never counted twice. The number of voters rises over what it should be only for the moment
// in which a relief votes beside a voter that stops (planRelief).
func (s *Situation) Plan() Change {
	steps := []func() Change{s.planRemoval, s.planAddition, s.planRelief, s.planPromotion, s.planBurial,
		s.planDemotion}
	if s.Undecided {
		steps = steps[:2]
	}
	for _, f := range steps {
		if c := f(); c.Kind != Keep {
			return c
		}
	}
	return Change{}
}

// planRemoval takes out, or takes the vote of, who is certainly not what the configuration says.
func (s *Situation) planRemoval() Change {
	for _, srv := range s.Servers {
		if s.replaced(srv) || s.Strange != nil && s.Strange(srv.ID) {
			return Change{Remove, srv.ID}
		}
		if !s.Undecided && s.demotable(srv) {
			if c := s.vacate(srv); c.Kind != Keep {
				return c
			}
		}
	}
	return Change{}
}

func (s *Situation) planAddition() Change {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; s.joinable(n) && s.Server(n.Server) == nil {
			return Change{AddNonvoter, n.Server}
		}
	}
	return Change{}
}

func (s *Situation) planPromotion() Change {
	if !s.LacksVoter() {
		return Change{}
	}
	if n := s.caughtUpStandby(); n != nil {
		return Change{Promote, n.Server}
	}
	return Change{}
}

// planBurial removes nodes that have been silent for too long: a non-voter at once, a voter only if a
// stand-by can take its place, or if those that live are an odd number of at least three. Else a removal
// would only make the next loss worse: a dead voter's seat is there for it when it comes back.
func (s *Situation) planBurial() Change {
	living, standby := 0, false
	for _, srv := range s.Servers {
		switch {
		case srv.Votes && !s.dead(srv.ID):
			living++
		case !srv.Votes && s.CaughtUp[srv.ID]:
			standby = true
		}
	}
	for _, srv := range s.Servers {
		if s.dead(srv.ID) && (!srv.Votes || standby || living >= 3 && living%2 == 1) {
			return Change{Remove, srv.ID}
		}
	}
	return Change{}
}

// planDemotion takes the vote from a node when there are more voters than there should be, which happens when
// others were removed or MaxVoters was lowered. It waits until all voters live, and never takes the leader's.
func (s *Situation) planDemotion() Change {
	if !s.tooManyVoters() {
		return Change{}
	}
	last := ""
	for _, srv := range s.Servers {
		if !srv.Votes || srv.ID == s.Self {
			continue
		}
		if n := s.Node(srv.Node); n == nil || !s.joinable(n) {
			return Change{}
		}
		last = max(last, srv.ID)
	}
	if last == "" {
		return Change{}
	}
	return Change{Demote, last}
}

// dead reports whether neither gossip nor Raft has had contact to a server for so long that it is given up.
func (s *Situation) dead(server string) bool {
	return server != s.Self && s.DeadAfter > 0 && s.Silent[server] >= s.DeadAfter
}

// replaced reports whether the node of a server runs as another incarnation now: then this one, and its vote,
// is gone for good. It must go before the new one comes, or the vote of one node would count twice.
func (s *Situation) replaced(srv Server) bool {
	n := s.Node(srv.Node)
	return srv.ID != s.Self && n != nil && n.Alive && n.Server != srv.ID
}

// demotable reports whether a voter runs in a role that has no vote now, and others vote.
func (s *Situation) demotable(srv Server) bool {
	if !srv.Votes || !s.Runs(srv) || s.Node(srv.Node).Ordinary {
		return false
	}
	return slices.ContainsFunc(s.Servers, func(o Server) bool { return o.Votes && o.ID != srv.ID })
}

// vacate takes the vote of a voter that runs in a role without one. If those who stay are no majority without
// it, a stand-by gets a vote first; without a stand-by the vote stays, since it is needed.
func (s *Situation) vacate(srv Server) Change {
	if others, staying := s.Majority(srv.Node, s.Stays); staying > others/2 {
		return Change{Demote, srv.ID}
	}
	standby := s.caughtUpStandby()
	if voters, living := s.Majority("", s.Lives); standby != nil && living+1 > (voters+1)/2 {
		return Change{Promote, standby.Server}
	}
	return Change{}
}

// joinable reports whether a node may come into the configuration.
func (s *Situation) joinable(n *Node) bool {
	return n.Alive && !n.Leaving && n.Boot > s.Left[n.Server] && n.MaxProtocol >= s.Level
}

// eligible reports whether a node is in the configuration, and could vote, and does not.
func (s *Situation) eligible(n *Node) bool {
	srv := s.Server(n.Server)
	return srv != nil && !srv.Votes && s.canVote(n)
}

func (s *Situation) canVote(n *Node) bool {
	return n != nil && n.Ordinary && !n.Retiring && s.joinable(n)
}
