package configsync

// Status is how a node stands to what is in force.
type Status struct {
	Epoch    uint64 // in force in the farm, as far as this node knows; 0 = nothing ever was
	Revision uint64
	Release  uint64 // in force on this node: that of a canary, if it is one
	Canary   bool   // it is
	Uses     uint64 // the epoch that this node uses: Epoch, unless there is a Problem
	Problem  string // why this node does not use Epoch, or not yet; "" = it does

	// CanaryProblem is why this node does not show the canary to its share of the clients, or not yet: they are answered
	// by other nodes, or see what is in force. "" = it does, or there is no such canary.
	CanaryProblem string

	Restart []string // fields, such as site.listen, that have changed since this process began; see RestartDue
}

// Status returns how this node stands.
func (m *Manager) Status() Status {
	s := m.switching.glance()
	e := s.source.Current()
	r, canary := s.source.For(m.settings.Node)
	st := Status{Epoch: e.Number, Revision: r.Revision, Release: r.ID, Canary: canary, Uses: s.epoch}
	if s.problem != nil {
		st.Problem = s.problem.Error()
	}
	if m.settings.Pins != nil {
		st.CanaryProblem = s.lacksCanary()
	}
	if begun := m.switching.begun.Load(); begun != nil {
		st.Restart = begun.changedIn(s.staged)
	}
	return st
}

// lacksCanary returns why the share of the clients is not shown the canary; "" = it is, or there is none.
func (s *snapshot) lacksCanary() string {
	c := s.source.Canary()
	switch {
	case c.Percent == 0 || s.shared[nameOf(c.Release)] != nil:
		return ""
	case s.set == nil:
		return "this node has no content to show"
	case s.set.Share.Coming:
		return "it is being made ready"
	}
	return "it could not be made ready; that is tried again"
}
