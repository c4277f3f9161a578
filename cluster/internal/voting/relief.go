package voting

import "slices"

// A voter that stops in order says so before it does. Its seat is no use to the farm until it comes back, so
// a stand-by that has caught up takes it: one step takes the vote of the one, the next step gives it to the
// other. That order needs nobody's help but that of the voters who stay. Where they are no majority without
// the one that stops, the stand-by gets its vote first, as long as the one that stops is still there to
// agree.

// stops reports whether a voter has said that it stops, is no longer there because of that, or was let go.
func (s *Situation) stops(srv Server) bool {
	n := s.Node(srv.Node)
	return n != nil && n.Server == srv.ID &&
		(n.Retiring || n.Leaving || n.Stopped || n.Boot <= s.Left[srv.ID])
}

// planRelief moves the seat of a voter that stops to a stand-by, in two steps.
func (s *Situation) planRelief() Change {
	seat := s.seatToGive()
	standby := s.caughtUpStandby()
	if seat == nil || standby == nil && !s.tooManyVoters() {
		return Change{}
	}
	others, staying := s.Majority(seat.Node, s.Stays)
	if staying > others/2 {
		return Change{Demote, seat.ID}
	}
	voters, living := s.Majority("", s.Lives)
	if standby != nil && living+1 > (voters+1)/2 && staying+1 > voters/2 {
		return Change{Promote, standby.Server}
	}
	return Change{}
}

// AnyRelief reports whether a voter stops whose seat could go to somebody, or is to have none in its role.
func (s *Situation) AnyRelief() bool {
	return s.seatToGive() != nil || slices.ContainsFunc(s.Servers, s.demotable)
}

// seatToGive returns a voter that stops, but for the leader; nil if there is none. One that is no longer
// there comes first: those that still are can wait. A leader that is being closed begins nothing that it may
// not end.
func (s *Situation) seatToGive() (seat *Server) {
	for i := range s.Servers {
		switch srv := &s.Servers[i]; {
		case srv.ID == s.Self && s.Node(srv.Node) != nil && s.Node(srv.Node).Leaving:
			return nil
		case srv.ID == s.Self || !srv.Votes || !s.stops(*srv):
		case seat == nil || s.Lives(*seat) && !s.Lives(*srv):
			seat = srv
		}
	}
	return seat
}

// caughtUpStandby returns a node that could take a vote at once; nil if there is none.
func (s *Situation) caughtUpStandby() *Node {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; s.CaughtUp[n.Server] && s.eligible(n) {
			return n
		}
	}
	return nil
}

func (s *Situation) tooManyVoters() bool {
	voters, standby := s.count()
	return voters > OddVoters(voters+standby, s.MaxVoters)
}

// VoteComes reports whether a non-voter that has caught up waits for a vote: it gets one with the next
// changes, or another stand-by does.
func (s *Situation) VoteComes(server string) bool {
	srv := s.Server(server)
	if srv == nil || srv.Votes || s.Undecided || !s.canVote(s.Node(srv.Node)) {
		return false
	}
	then := *s
	then.CaughtUp = map[string]bool{server: true}
	if c := then.planBurial(); c.Kind == Remove && s.Votes(c.Server) {
		return true // its seat is next
	}
	return then.planRelief().Kind != Keep || then.planPromotion().Kind != Keep
}

// Needed reports whether the voters that stay are no majority without a server that stops. One that leaves,
// or is one of two, is taken out of the count; else its seat remains.
func (s *Situation) Needed(server string, leaves bool) bool {
	srv := s.Server(server)
	if srv == nil || !srv.Votes {
		return false
	}
	others, staying := s.Majority(srv.Node, s.Stays)
	if voters := others + 1; !leaves && voters != 2 {
		return staying <= voters/2
	}
	return staying <= others/2
}

// ReliefComes reports whether the farm would have a majority without a server that stops, once those that
// could vote do: they take the seats that are free, and then the seats of voters that stop. The node that
// looks may itself be the one.
func (s *Situation) ReliefComes(server string) bool {
	if s.Undecided {
		return false
	}
	srv := s.Server(server)
	if srv == nil {
		return false
	}
	candidates, stopping := 0, 0
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Server != server && s.canVote(n) && !s.Votes(n.Server) {
			candidates++
		}
	}
	for _, o := range s.Servers {
		if o.Votes && (o.ID == server || s.stops(o)) {
			stopping++
		}
	}
	others, staying := s.Majority(srv.Node, s.Stays)
	voters := others + 1
	free := min(candidates, max(0, OddVoters(voters+candidates, s.MaxVoters)-voters))
	voters += free
	staying += free + min(candidates-free, stopping)
	return candidates > 0 && (staying > voters/2 || voters == 2 && staying > 0)
}
