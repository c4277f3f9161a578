package state

import "bytes"

// decodeState takes only what append writes: the same state is the same bytes.
func decodeState(b []byte) (*State, bool) {
	d := decoder{b: b}
	s := &State{revision: d.number(), release: d.number(), rollout: d.number()}
	if !d.revisions(s) || !d.releases(s) || !d.epochs(s) || !d.rollouts(s) {
		return nil, false
	}
	s.canary = Canary{d.number(), d.number(), d.nodes()}
	s.credentials = d.credentials()
	return s, d.done() && s.soundCanary() && bytes.Equal(s.append(nil), b)
}

func (s *State) soundCanary() bool {
	c := s.canary
	_, known := s.Release(c.Release)
	if r, ok := s.InProgress(); ok && r.Phase == Confirming && len(r.Plan.Nodes) > 0 && c.Rollout != r.ID {
		return false
	}
	return known && (c.Rollout == 0) == (len(c.Nodes) == 0) && (c.Rollout == 0) == (c.Release == 0) &&
		c.Rollout <= s.rollout
}

func (d *decoder) revisions(s *State) bool {
	texts := make([]string, d.count(maxReleases*MaxFiles, 1))
	for i := range texts {
		texts[i] = d.text(MaxBytes)
	}
	if n := d.count(maxReleases, 2); n > 0 {
		s.revisions = make(map[uint64]revision, n)
		for range n {
			number, files, ok := d.files(texts)
			if !ok || number == 0 || number > s.revision {
				return false
			}
			s.revisions[number] = newRevision(files)
		}
	}
	return !d.bad
}

func (d *decoder) files(texts []string) (revision uint64, files []File, ok bool) {
	revision = d.number()
	size := 0
	for range d.count(MaxFiles, 3) {
		f := File{Path: d.path()}
		place := d.number()
		if place >= uint64(len(texts)) || len(files) > 0 && f.Path <= files[len(files)-1].Path {
			return 0, nil, false
		}
		f.Text = texts[place]
		size += len(f.Text)
		files = append(files, f)
	}
	return revision, files, size <= MaxBytes && !d.bad
}

// hasRevision reports whether the files of a revision are there. Those of revision 0 are none.
func (s *State) hasRevision(n uint64) bool {
	_, ok := s.revisions[n]
	return ok || n == 0
}

func (d *decoder) releases(s *State) bool {
	for range d.count(maxReleases, 16) {
		r := Release{ID: d.number(), Revision: d.number(), Content: d.content(), Needs: d.needs(),
			Publisher: d.text(MaxPublisher), Who: d.text(MaxWho),
			Why: d.text(MaxWhy), Key: d.text(MaxKey), Index: d.number(), Time: d.time(),
			Tried: d.flag(), Rejected: d.text(MaxReason), Dry: d.flag()}
		last := uint64(0)
		if n := len(s.releases); n > 0 {
			last = s.releases[n-1].ID
		}
		if d.bad || r.ID <= last || r.ID > s.release || !s.hasRevision(r.Revision) {
			return false
		}
		s.releases = append(s.releases, r)
	}
	return !d.bad
}

func (d *decoder) epochs(s *State) bool {
	for range d.count(Kept, 8) {
		e := Epoch{Number: d.number(), Release: d.number(), Rollout: d.number(), Index: d.number(),
			Time: d.time(), Who: d.text(MaxWho), Why: d.text(MaxReason), Failed: d.flag()}
		r, known := s.Release(e.Release)
		if d.bad || !known || e.Number == 0 || e.Rollout > s.rollout ||
			len(s.epochs) > 0 && e.Number != s.Current().Number+1 {
			return false
		}
		e.Revision = r.Revision
		s.epochs = append(s.epochs, e)
	}
	return !d.bad
}

func (d *decoder) rollouts(s *State) bool {
	for i, n := 0, d.count(Kept, 24); i < n; i++ {
		r := Rollout{ID: d.number(), Release: d.number(), Was: d.number(), Epoch: d.number(),
			Phase: Phase(d.flagUpTo(byte(Returned))), Plan: d.plan(), Who: d.text(MaxWho), Why: d.text(MaxWhy),
			Key: d.text(MaxKey), Index: d.number(), Begun: d.time(), Flipped: d.maybe(), Ended: d.maybe(),
			Ready: d.nodes(), Unconfirmed: d.nodes(), By: d.text(MaxWho), Reason: d.text(MaxReason)}
		last := uint64(0)
		if i > 0 {
			last = s.rollouts[i-1].ID
		}
		running := r.Phase < Done
		if d.bad || r.Phase == 0 || r.ID <= last || r.ID > s.rollout || r.Release > s.release ||
			running != r.Ended.IsZero() || running && (i < n-1 || !s.sound(r)) {
			return false
		}
		s.rollouts = append(s.rollouts, r)
	}
	return !d.bad
}

// sound reports whether what a rollout in progress names is there, and is as its phase says.
func (s *State) sound(r Rollout) bool {
	_, known := s.Release(r.Release)
	_, before := s.Epoch(r.Was)
	flipped, now := r.Phase == Confirming, s.Current().Number
	if flipped && len(r.Plan.Nodes) == 0 {
		now--
	}
	return known && r.Release != 0 && (before || r.Was == 0) && r.Was == now && flipped == !r.Flipped.IsZero() &&
		(!flipped || !r.Plan.Dry)
}
