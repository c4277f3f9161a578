package state

import (
	"slices"
	"strings"
)

// refuse is the answer to a command that has changed nothing.
func (s *State) refuse(why Status) Answer { return Answer{Status: why, Epoch: s.Current().Number} }

// busy is the answer while something else is in progress, or nodes show a canary.
func (s *State) busy() Answer {
	a := s.refuse(Busy)
	if a.Rollout = s.canary.Rollout; len(s.rollouts) > 0 {
		if r, ok := s.InProgress(); ok {
			a.Rollout = r.ID
		}
	}
	return a
}

// repeated returns the answer to a write that was carried out before.
func (s *State) repeated(w Write) (Answer, bool) {
	if w.Key == "" {
		return Answer{}, false
	}
	if i := slices.IndexFunc(s.rollouts, func(r Rollout) bool { return r.Key == w.Key }); i >= 0 {
		r := s.rollouts[i]
		return Answer{OK, s.Current().Number, r.Release, r.ID}, true
	}
	if i := slices.IndexFunc(s.releases, func(r Release) bool { return r.Key == w.Key }); i >= 0 {
		return Answer{OK, s.Current().Number, s.releases[i].ID, 0}, true
	}
	return Answer{}, false
}

// Written returns the release that a write with this idempotency key is about, if it was carried out, or has begun a
// rollout.
func (s *State) Written(key string) (release uint64, done bool) {
	a, done := s.repeated(Write{Key: key})
	return a.Release, done
}

// propose carries out a Propose, with a plan of a kind.
func (s *State) propose(as kind, cmd []byte, at moment) (*State, Answer) {
	c, ok := decodePropose(as, cmd)
	if !ok {
		return nil, s.refuse(Malformed)
	}
	if a, done := s.repeated(c.Write); done {
		return nil, a
	}
	_, running := s.InProgress()
	switch {
	case !c.Hold && (running || s.canary.Rollout != 0):
		return nil, s.busy()
	case c.Epoch != s.Current().Number:
		return nil, s.refuse(Conflict)
	case c.Publisher != "":
		if err := s.credentials.check(c.Publisher, at.time); err != nil {
			return nil, s.refuse(statusOf(err))
		}
	}
	next := s.clone()
	r, a := next.releaseOf(c, at)
	if a.Status != OK {
		return nil, a
	}
	if c.Plan.Percent > 0 && !next.Sharable(r) {
		return nil, s.refuse(NotSharable)
	}
	if !c.Hold {
		a.Rollout = next.start(r.ID, c.Write, c.Plan, at)
	}
	return next, a
}

// releaseOf adds the release that a proposal makes, unless an equal one is kept.
func (s *State) releaseOf(c Propose, at moment) (Release, Answer) {
	now, _ := s.Release(s.Current().Release)
	old := s.Files(now.Revision)
	files := changed(old, c.Changes)
	size := 0
	for _, f := range files {
		size += len(f.Text)
	}
	if size > MaxBytes || len(files) > MaxFiles {
		return Release{}, s.refuse(TooLarge)
	}
	r := Release{ID: s.release + 1, Revision: now.Revision, Content: c.Content, Needs: c.Needs,
		Publisher: c.Publisher, Who: c.Who, Why: c.Why, Key: c.Key, Index: at.index,
		Time: at.time, Dry: c.Plan.Dry && !c.Hold}
	if c.Keep {
		r.Content = now.Content
		if c.Needs == (Needs{}) {
			r.Needs = now.Needs
		}
	}
	// A publisher who sets files to what they are has them for the first time: that is a release of its own.
	adopts := c.Publisher != "" && len(c.Changes) > 0 && len(files) > 0 && slices.Equal(files, old)
	if adopts || !slices.Equal(files, old) {
		r.Revision = s.revision + 1
		s.revisions[r.Revision] = newRevision(files)
	}
	if s.same(r, now) && !adopts {
		a := s.refuse(Same)
		a.Release = now.ID
		return now, a
	}
	i := slices.IndexFunc(s.releases, func(o Release) bool {
		signed := o.Content.Seal == r.Content.Seal || o.Rejected == "" // or it may have failed for its seal
		return o.Publisher == r.Publisher && signed && !adopts && s.same(o, r) &&
			(!c.Hold || s.retains(o.ID)) // what is kept for later has to be kept
	})
	if i >= 0 {
		s.releases[i].Dry = s.releases[i].Dry && r.Dry
		return s.releases[i], Answer{OK, s.Current().Number, s.releases[i].ID, 0}
	}
	s.revision, s.release = max(s.revision, r.Revision), r.ID
	s.releases = append(s.releases, r)
	return r, Answer{OK, s.Current().Number, r.ID, 0}
}

// changed returns files with changes, sorted by path.
func changed(files []File, changes []Change) []File {
	out := slices.Clone(files)
	for _, c := range changes {
		i, found := slices.BinarySearchFunc(out, c.Path, func(f File, path string) int {
			return strings.Compare(f.Path, path)
		})
		switch {
		case c.Delete && found:
			out = slices.Delete(out, i, i+1)
		case c.Delete:
		case found:
			out[i].Text = c.Text
		default:
			out = slices.Insert(out, i, File{c.Path, c.Text})
		}
	}
	return out
}

// begin carries out a Begin, with a plan of a kind.
func (s *State) begin(as kind, cmd []byte, at moment) (*State, Answer) {
	c, ok := decodeBegin(as, cmd)
	if !ok {
		return nil, s.refuse(Malformed)
	}
	if a, done := s.repeated(c.Write); done {
		return nil, a
	}
	r, known := s.Release(c.Release)
	_, running := s.InProgress()
	promotes := c.Release == s.canary.Release && s.widens(c.Plan)
	switch {
	case running || s.canary.Rollout != 0 && !promotes:
		return nil, s.busy()
	case c.Epoch != s.Current().Number:
		return nil, s.refuse(Conflict)
	case !known || c.Release == 0:
		return nil, s.refuse(NoRelease)
	case s.Disowned(r):
		return nil, s.refuse(RevokedCredential)
	case r.ID == s.Current().Release:
		a := s.refuse(Same)
		a.Release = r.ID
		return nil, a
	case c.Plan.Percent > 0 && !s.Sharable(r):
		return nil, s.refuse(NotSharable)
	}
	next := s.clone()
	id := next.start(c.Release, c.Write, c.Plan, at)
	return next, Answer{OK, s.Current().Number, c.Release, id}
}

// start begins a rollout, and returns its ID.
func (s *State) start(release uint64, w Write, p Plan, at moment) uint64 {
	s.rollout++
	for i := range s.releases {
		if s.releases[i].ID == release && !p.Dry {
			s.releases[i].Tried = true
		}
	}
	s.rollouts = append(s.rollouts, Rollout{ID: s.rollout, Release: release, Was: s.Current().Number,
		Phase: Staging, Plan: p, Who: w.Who, Why: w.Why, Key: w.Key, Index: at.index, Begun: at.time})
	return s.rollout
}
