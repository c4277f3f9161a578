package state

// share carries out a command about a release that is for a share of the clients.
func (s *State) share(cmd []byte, at moment) (*State, Answer) {
	if len(cmd) < 2 || cmd[0] == 0 || cmd[0] > MaxPercent {
		return nil, s.refuse(Malformed)
	}
	return s.proposeOrBegin(cmd[1], kind{percent: uint64(cmd[0])}, cmd[2:], at)
}

// proposeOrBegin carries out a Propose or a Begin, whose op code is op, with a plan of a kind.
func (s *State) proposeOrBegin(op byte, as kind, cmd []byte, at moment) (*State, Answer) {
	switch op {
	case opPropose:
		return s.propose(as, cmd, at)
	case opBegin:
		return s.begin(as, cmd, at)
	}
	return nil, s.refuse(Malformed)
}

// Sharable reports whether a release can be shown to a share of the clients beside the one in force: it differs from
// that in its content alone, and both have some. A request sees the configuration in force, whatever its client is
// shown.
func (s *State) Sharable(r Release) bool {
	now, _ := s.Release(s.Current().Release)
	return s.revisions[r.Revision].sum == s.revisions[now.Revision].sum && !r.Content.Root.IsZero() &&
		!now.Content.Root.IsZero()
}

// widens reports whether a plan shows the release of the canary to more than see it now: to all, or to a greater share
// of the clients. A Strict one does not: some have seen the release already, and others see the old one.
func (s *State) widens(p Plan) bool {
	return !p.forSome() && p.Strict == 0 || s.canary.Percent > 0 && p.Percent > s.canary.Percent
}

// noCanary has all see the same again. It edits s, which nobody has seen yet.
func (s *State) noCanary() {
	s.turn += min(1, s.canary.Percent)
	s.canary = Canary{}
}
