package voting

import "slices"

// OddVoters returns how many of n nodes should vote: an odd number from three on, since an even one tolerates
// no more failures, and two of two.
func OddVoters(n, limit int) int {
	n = min(n, limit)
	if n > 2 && n%2 == 0 {
		n--
	}
	return n
}

// LacksVoter reports whether fewer nodes vote than should.
func (s *Situation) LacksVoter() bool {
	voters, standby := s.count()
	return voters < OddVoters(voters+standby, s.MaxVoters)
}

// AnyDead reports whether a server has been silent for so long that it is given up.
func (s *Situation) AnyDead() bool {
	return slices.ContainsFunc(s.Servers, func(srv Server) bool { return s.dead(srv.ID) })
}

// Standbys returns the server IDs of those that could vote and do not.
func (s *Situation) Standbys() (ids []string) {
	for _, srv := range s.Servers {
		if !srv.Votes && s.canVote(s.Node(srv.Node)) {
			ids = append(ids, srv.ID)
		}
	}
	return ids
}

// Promotable reports whether the configuration lacks a voter that the node that runs as server can be.
func (s *Situation) Promotable(server string) bool {
	srv := s.Server(server)
	if srv == nil || !s.LacksVoter() {
		return false
	}
	n := s.Node(srv.Node)
	return n != nil && n.Server == server && s.eligible(n)
}

// count returns the number of voters, and of the other configured nodes that could vote.
func (s *Situation) count() (voters, standby int) {
	for _, srv := range s.Servers {
		switch {
		case srv.Votes:
			voters++
		case s.canVote(s.Node(srv.Node)):
			standby++
		}
	}
	return voters, standby
}

// Settled returns how many nodes vote, and how many should by MaxVoters; ok is false if somebody is missing.
func (s *Situation) Settled() (voters, wanted int, ok bool) {
	for _, srv := range s.Servers {
		if n := s.Node(srv.Node); n == nil || n.Server != srv.ID || !s.joinable(n) {
			return 0, 0, false
		}
	}
	voters, standby := s.count()
	return voters, OddVoters(voters+standby, s.MaxVoters), voters > 0
}

// Majority returns how many voters there are without the node but, and how many of them a rule counts.
func (s *Situation) Majority(but string, counts func(Server) bool) (voters, counted int) {
	for _, srv := range s.Servers {
		if srv.Votes && srv.Node != but {
			voters++
			if counts(srv) {
				counted++
			}
		}
	}
	return voters, counted
}
