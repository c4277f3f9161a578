package configsync

// Status is how a node stands to what is in force.
type Status struct {
	Epoch    uint64 // in force in the farm, as far as this node knows; 0 = nothing ever was
	Revision uint64
	Release  uint64   // in force on this node: that of a canary, if it is one
	Canary   bool     // it is
	Uses     uint64   // the epoch that this node uses: Epoch, unless there is a Problem
	Problem  string   // why this node does not use Epoch, or not yet; "" = it does
	Restart  []string // fields, such as site.listen, that have changed since this process began; see RestartDue
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
	if begun := m.switching.begun.Load(); begun != nil {
		st.Restart = begun.changedIn(s.staged)
	}
	return st
}
