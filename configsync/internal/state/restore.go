package state

import "bytes"

// decodeState takes only what append writes: the same state is the same bytes.
func decodeState(format byte, b []byte) (*State, bool) {
	d := newDecoder(b)
	s := &State{revision: d.Uint(), release: d.Uint(), rollout: d.Uint()}
	if !d.revisions(s) || !d.releases(s) || !d.epochs(s) || !d.rollouts(s) {
		return nil, false
	}
	s.canary = Canary{Rollout: d.Uint(), Release: d.Uint(), Nodes: d.nodes()}
	s.credentials = d.credentials()
	if format >= formatShares && !d.shares(s) || format >= formatStrict && !d.stricts(s) {
		return nil, false
	}
	return s, d.Done() && s.format() == format && s.sound() && bytes.Equal(s.append(nil), b)
}

func (s *State) soundCanary() bool {
	c := s.canary
	_, known := s.Release(c.Release)
	if r, ok := s.InProgress(); ok && r.Phase == Confirming && r.Plan.forSome() && c.Rollout != r.ID {
		return false
	}
	return known && (c.Rollout == 0) == (len(c.Nodes) == 0 && c.Percent == 0) && (c.Rollout == 0) == (c.Release == 0) &&
		(len(c.Nodes) == 0 || c.Percent == 0) && (s.turn > 0 || c.Percent == 0) && c.Rollout <= s.rollout
}

// sound reports whether what is in progress, and the canary, are as they can be.
func (s *State) sound() bool {
	r, ok := s.InProgress()
	return s.soundCanary() && (!ok || s.soundRollout(r))
}

// shares reads what a farm with canaries for a share of the clients has besides.
func (d *decoder) shares(s *State) bool {
	s.turn, s.canary.Percent = d.Uint(), d.UintTo(MaxPercent)
	at := 0
	for range d.Count(Kept, 2) {
		id, percent := d.Uint(), d.UintTo(MaxPercent)
		for at < len(s.rollouts) && s.rollouts[at].ID < id {
			at++
		}
		if d.Bad() || percent == 0 || at == len(s.rollouts) || s.rollouts[at].ID != id ||
			len(s.rollouts[at].Plan.Nodes) > 0 {
			return false
		}
		s.rollouts[at].Plan.Percent = percent
		at++
	}
	return !d.Bad()
}

func (d *decoder) revisions(s *State) bool {
	texts := make([]string, d.Count(maxReleases*MaxFiles, 1))
	for i := range texts {
		texts[i] = d.text(MaxBytes)
	}
	if n := d.Count(maxReleases, 2); n > 0 {
		s.revisions = make(map[uint64]revision, n)
		for range n {
			number, files, ok := d.files(texts)
			if !ok || number == 0 || number > s.revision {
				return false
			}
			s.revisions[number] = newRevision(files)
		}
	}
	return !d.Bad()
}

func (d *decoder) files(texts []string) (revision uint64, files []File, ok bool) {
	revision = d.Uint()
	size := 0
	for range d.Count(MaxFiles, 3) {
		f := File{Path: d.path()}
		place := d.Uint()
		if place >= uint64(len(texts)) || len(files) > 0 && f.Path <= files[len(files)-1].Path {
			return 0, nil, false
		}
		f.Text = texts[place]
		size += len(f.Text)
		files = append(files, f)
	}
	return revision, files, size <= MaxBytes && !d.Bad()
}

// hasRevision reports whether the files of a revision are there. Those of revision 0 are none.
func (s *State) hasRevision(n uint64) bool {
	_, ok := s.revisions[n]
	return ok || n == 0
}

func (d *decoder) releases(s *State) bool {
	for range d.Count(maxReleases, 16) {
		r := Release{ID: d.Uint(), Revision: d.Uint(), Content: d.content(), Needs: d.needs(),
			Publisher: d.text(MaxPublisher), Who: d.text(MaxWho),
			Why: d.text(MaxWhy), Key: d.text(MaxKey), Index: d.Uint(), Time: d.time(),
			Tried: d.Bool(), Rejected: d.text(MaxReason), Dry: d.Bool()}
		last := uint64(0)
		if n := len(s.releases); n > 0 {
			last = s.releases[n-1].ID
		}
		if d.Bad() || r.ID <= last || r.ID > s.release || !s.hasRevision(r.Revision) {
			return false
		}
		s.releases = append(s.releases, r)
	}
	return !d.Bad()
}

func (d *decoder) epochs(s *State) bool {
	for range d.Count(Kept, 8) {
		e := Epoch{Number: d.Uint(), Release: d.Uint(), Rollout: d.Uint(), Index: d.Uint(),
			Time: d.time(), Who: d.text(MaxWho), Why: d.text(MaxReason), Failed: d.Bool()}
		r, known := s.Release(e.Release)
		if d.Bad() || !known || e.Number == 0 || e.Rollout > s.rollout ||
			len(s.epochs) > 0 && e.Number != s.Current().Number+1 {
			return false
		}
		e.Revision = r.Revision
		s.epochs = append(s.epochs, e)
	}
	return !d.Bad()
}

func (d *decoder) rollouts(s *State) bool {
	for i, n := 0, d.Count(Kept, 24); i < n; i++ {
		r := Rollout{ID: d.Uint(), Release: d.Uint(), Was: d.Uint(), Epoch: d.Uint(),
			Phase: Phase(d.Below(byte(Returned) + 1)), Plan: d.plan(), Who: d.text(MaxWho), Why: d.text(MaxWhy),
			Key: d.text(MaxKey), Index: d.Uint(), Begun: d.time(), Switched: d.maybe(), Ended: d.maybe(),
			Ready: d.nodes(), Unconfirmed: d.nodes(), By: d.text(MaxWho), Reason: d.text(MaxReason)}
		last := uint64(0)
		if i > 0 {
			last = s.rollouts[i-1].ID
		}
		running := r.Phase < Done
		if d.Bad() || r.Phase == 0 || r.ID <= last || r.ID > s.rollout || r.Release > s.release ||
			running != r.Ended.IsZero() || running && i < n-1 {
			return false
		}
		s.rollouts = append(s.rollouts, r)
	}
	return !d.Bad()
}

// soundRollout reports whether what a rollout in progress names is there, and is as its phase says.
func (s *State) soundRollout(r Rollout) bool {
	_, known := s.Release(r.Release)
	_, before := s.Epoch(r.Was)
	switched, now := r.Phase == Confirming, s.Current().Number
	if switched && !r.Plan.forSome() {
		now--
	}
	return known && r.Release != 0 && (before || r.Was == 0) && r.Was == now && switched == !r.Switched.IsZero() &&
		(!switched || !r.Plan.Dry)
}
