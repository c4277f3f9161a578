package state

import (
	"maps"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// How much is kept, as a part of the format.
const (
	keptBefore  = 2 // releases that were in force before, and did well: their content is kept
	keptUntried = 3 // releases that were never tried: they and their content are kept
)

// forget drops what is too old. It edits s, which nobody has seen yet.
func (s *State) forget() {
	s.epochs = newest(s.epochs)
	s.forgetRollouts()
	needed := s.referenced()
	for over := len(s.releases) - Kept; over > 0; over-- {
		i := slices.IndexFunc(s.releases, func(r Release) bool { return !needed[r.ID] })
		if i < 0 {
			break
		}
		s.releases = slices.Delete(s.releases, i, i+1)
	}
	running, _ := s.InProgress()
	s.releases = slices.DeleteFunc(s.releases, func(r Release) bool { return r.Dry && r.ID != running.Release })
	named := map[uint64]bool{}
	for _, r := range s.releases {
		named[r.Revision] = true
	}
	maps.DeleteFunc(s.revisions, func(n uint64, _ revision) bool { return !named[n] })
}

// forgetRollouts drops the oldest rollouts, but not that of a canary for a share of the clients: it says since when
// they are shown that.
func (s *State) forgetRollouts() {
	kept := newest(s.rollouts)
	if by, ok := s.Rollout(s.canary.Rollout); ok && s.canary.Percent > 0 && by.ID < kept[0].ID {
		kept = append([]Rollout{by}, kept[1:]...)
	}
	s.rollouts = kept
}

func newest[T any](all []T) []T { return all[max(0, len(all)-Kept):] }

// referenced returns the releases that have to be kept.
func (s *State) referenced() map[uint64]bool {
	out := map[uint64]bool{s.canary.Release: true}
	for _, e := range s.epochs {
		out[e.Release] = true
	}
	if r, ok := s.InProgress(); ok {
		out[r.Release] = true
	}
	for _, r := range s.untried() {
		out[r.ID] = true
	}
	return out
}

// untried returns the newest releases that were never tried, which are kept for whoever may want them.
func (s *State) untried() (out []Release) {
	for _, r := range slices.Backward(s.releases) {
		if !r.Tried && !r.Dry && len(out) < keptUntried {
			out = append(out, r)
		}
	}
	return out
}

// Retained returns the releases whose content every node keeps: the one in force first, then those that were in
// force before and did well, the canary, that of the rollout in progress, those that were never tried, and the one that
// was taken back since the last switch, of which pages are open still.
func (s *State) Retained() []Release {
	out := s.needed()
	if r, ok := s.Release(s.takenBack()); ok && !slices.ContainsFunc(out, func(o Release) bool { return o.ID == r.ID }) {
		out = append(out, r)
	}
	return out
}

// needed is Retained without what was taken back. Commands are decided by it: what it says is the same for all versions
// of the program.
func (s *State) needed() (out []Release) {
	add := func(id uint64) {
		r, ok := s.Release(id)
		if ok && id != 0 && !slices.ContainsFunc(out, func(o Release) bool { return o.ID == id }) {
			out = append(out, r)
		}
	}
	add(s.Current().Release)
	before := map[uint64]bool{s.Current().Release: true}
	for _, e := range slices.Backward(s.epochs) {
		if !e.Failed && len(before) <= keptBefore {
			before[e.Release] = true
			add(e.Release)
		}
	}
	add(s.canary.Release)
	if r, ok := s.InProgress(); ok {
		was, _ := s.Epoch(r.Was)
		add(r.Release)
		add(was.Release)
	}
	for _, r := range s.untried() {
		add(r.ID)
	}
	return out
}

// takenBack returns the release that the last switch was to, or that was the canary, if it was taken back; else 0.
func (s *State) takenBack() uint64 {
	for _, r := range slices.Backward(s.rollouts) {
		if r.Phase == Returned {
			return r.Release
		}
		if !r.Switched.IsZero() {
			break
		}
	}
	return 0
}

// retains reports whether every node keeps the content of a release, for as long as it is needed.
func (s *State) retains(id uint64) bool {
	return slices.ContainsFunc(s.needed(), func(r Release) bool { return r.ID == id })
}

// Roots returns the roots of the content that every node keeps, each once, sorted.
func (s *State) Roots() (out []blob.Hash) {
	for _, r := range s.Retained() {
		if !r.Content.Root.IsZero() {
			out = append(out, r.Content.Root)
		}
	}
	slices.SortFunc(out, func(a, b blob.Hash) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(out)
}
