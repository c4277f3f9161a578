package configsync

import (
	"slices"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// start is what a process has begun its work with.
type start struct {
	use
	values []*value
	told   bool // by Begun; otherwise somebody has read a value
}

// RestartDue is that this process has begun its work with other values in fields of the class restart than are
// in force.
type RestartDue struct {
	Fields  []string // such as site.listen
	Rollout uint64   // the newest that has changed one of them; 0 = it is not known any more
	How     Restarts // what its plan says; Manual if it is not known any more
}

// Begun tells that the program begins its work now, with what is in force: RestartDue compares with that, and says
// nothing before. Until then Status compares with what was in force when somebody read a value for the first time.
//
// A node that only joins its farm has the defaults until it has caught up. So package farm calls this when the
// node is ready to serve, and a program reads fields of the class restart after Farm.Ready.
func (m *Manager) Begun() { m.restarts.begun() }

// restarts says for what this process has to be started again.
type restarts struct {
	*base
	reading   *reading
	switching *switching
	found     atomic.Pointer[knownDue]
}

// begun is Manager.Begun.
func (rs *restarts) begun() {
	s := rs.switching.settled()
	rs.switching.begun.Store(&start{s.use, s.staged.values, true})
	rs.tell()
}

// RestartDue returns what this process has to be started again for; without Fields, it need not be. Nothing is due
// before Begun, nor for a release that is looked at after its switch: it may be taken back.
func (m *Manager) RestartDue() RestartDue { return m.restarts.due() }

// due is Manager.RestartDue.
func (rs *restarts) due() RestartDue {
	s := rs.switching.glance()
	begun := rs.switching.begun.Load()
	if k := rs.found.Load(); k != nil && k.now == s && k.begun == begun {
		return k.due
	}
	due := rs.dueSince(begun, s)
	rs.found.Store(&knownDue{s, begun, due})
	return due
}

// knownDue is what RestartDue has found: it reads files for that, and is asked often.
type knownDue struct {
	now   *snapshot
	begun *start
	due   RestartDue
}

// dueSince returns what is due in a snapshot for a process that has begun with another one.
func (rs *restarts) dueSince(begun *start, s *snapshot) RestartDue {
	due := RestartDue{How: Manual}
	if begun == nil || !begun.told || s.use == begun.use || s.problem != nil {
		return due
	}
	due.Fields = begun.changedIn(s.staged)
	if len(due.Fields) == 0 {
		return due
	}
	due.Rollout = rs.causedBy(begun, s, due.Fields)
	if r, ok := s.source.Rollout(due.Rollout); ok {
		if r.Phase == PhaseConfirming {
			return RestartDue{How: Manual}
		}
		due.How = r.Plan.Restart
	}
	return due
}

// changedIn returns the fields of the class restart that have other values in a release.
func (b *start) changedIn(s *staged) (fields []string) {
	for _, v := range b.values {
		fields = append(fields, v.d.restart(v.base.tree, s.get(v.d).base.tree)...)
	}
	slices.Sort(fields)
	return fields
}

// causedBy returns the newest rollout since the beginning that has changed one of the fields on this node; 0 = it
// is not known any more.
func (rs *restarts) causedBy(begun *start, s *snapshot, fields []string) uint64 {
	source, now := s.source, s.source.Current()
	seen := s.staged.trees()
	if s.canary {
		older := rs.reading.treesOf(source, now.Revision)
		if touches(seen, older, fields) {
			return source.Canary().Rollout
		}
		seen = older
	}
	epochs := source.Epochs()
	for i := len(epochs) - 1; i >= 0 && begun.before(epochs[i]); i-- {
		var older map[*declaration]*tree.Node
		switch {
		case epochs[i].Number == 1:
			older = rs.reading.treesOf(source, 0)
		case i == 0:
			return 0
		default:
			older = rs.reading.treesOf(source, epochs[i-1].Revision)
		}
		if touches(seen, older, fields) {
			return epochs[i].Rollout
		}
		seen = older
	}
	if begun.canary { // which has ended since
		for _, r := range slices.Backward(source.Rollouts()) {
			if r.Release == begun.release.ID && len(r.Plan.Nodes) > 0 {
				return r.ID
			}
		}
	}
	return 0
}

// before reports whether an epoch has come after the beginning. A log that was put back to a backup gives numbers
// again.
func (b *start) before(e Epoch) bool { return e.Number > b.epoch || e.Time.After(b.since) }

// touches reports whether one of the fields differs.
func touches(a, b map[*declaration]*tree.Node, fields []string) bool {
	for d, n := range a {
		for _, f := range d.restart(b[d], n) {
			if slices.Contains(fields, f) {
				return true
			}
		}
	}
	return false
}

// restartOf returns the fields for which a rollout needs programs to be started again.
func (rs *restarts) restartOf(r Rollout) (out []string) {
	s := rs.state()
	was, _ := s.Epoch(r.Was)
	release, _ := s.Release(r.Release)
	ds, err := rs.reading.diffFiles(filesOf(s, was.Revision), filesOf(s, release.Revision))
	if err != nil {
		return nil // files of other programs; ours were read before
	}
	for _, d := range ds {
		if d.Restart {
			out = append(out, d.Config+"."+d.Field)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
