package state

import "time"

// strict carries out a command about a Strict rollout.
func (s *State) strict(cmd []byte, at moment) (*State, Answer) {
	d := newDecoder(cmd)
	hold := time.Duration(d.UintTo(uint64(MaxStrict.Milliseconds()))) * time.Millisecond
	op := d.Byte()
	if d.Bad() || hold == 0 {
		return nil, s.refuse(Malformed)
	}
	return s.proposeOrBegin(op, kind{strict: hold}, d.Rest(), at)
}

// freeze carries out a Freeze.
func (s *State) freeze(cmd []byte, at moment) (*State, Answer) {
	c, ok := decodeFreeze(cmd)
	if !ok {
		return nil, s.refuse(Malformed)
	}
	r, a, ok := s.active(c.Rollout)
	if !ok || r.Phase != Staging || r.Plan.Strict == 0 || r.frozen() {
		a.Status, a.Epoch, a.Release, a.Rollout = Ended, s.Current().Number, r.Release, r.ID
		return nil, a
	}
	next := s.clone()
	r.Ready, r.Frozen = c.Ready, at.time
	next.replace(r)
	return next, Answer{OK, s.Current().Number, r.Release, r.ID}
}

// frozen reports whether requests are held, or were, for the rollout.
func (r *Rollout) frozen() bool { return !r.Frozen.IsZero() }

// Frozen returns the rollout for which no request may begin, and for how long at most; 0 = there is none, and requests
// begin. It is quick: every request asks.
func (s *State) Frozen() (rollout uint64, most time.Duration) {
	if n := len(s.rollouts); n > 0 {
		if r := &s.rollouts[n-1]; r.Phase == Staging && r.frozen() {
			return r.ID, r.Plan.Strict
		}
	}
	return 0, 0
}

// strictEver reports whether a rollout that is kept was Strict.
func (s *State) strictEver() bool {
	for i := range s.rollouts {
		if s.rollouts[i].Plan.Strict > 0 {
			return true
		}
	}
	return false
}

// appendStricts appends what snapshots have of Strict rollouts.
func (s *State) appendStricts(b []byte) []byte {
	n := uint64(0)
	for i := range s.rollouts {
		n += uint64(min(1, s.rollouts[i].Plan.Strict))
	}
	b = appendNumbers(b, n)
	for _, r := range s.rollouts {
		if r.Plan.Strict > 0 {
			b = appendMaybe(appendDuration(appendNumbers(b, r.ID), r.Plan.Strict), r.Frozen)
		}
	}
	return b
}

// stricts reads what appendStricts appends.
func (d *decoder) stricts(s *State) bool {
	at := 0
	for range d.Count(Kept, 3) {
		id, hold, frozen := d.Uint(), d.duration(), d.maybe()
		for at < len(s.rollouts) && s.rollouts[at].ID < id {
			at++
		}
		if d.Bad() || hold == 0 || hold > MaxStrict || at == len(s.rollouts) || s.rollouts[at].ID != id {
			return false
		}
		r := &s.rollouts[at]
		if r.Plan.Strict, r.Frozen = hold, frozen; !r.soundStrict() {
			return false
		}
		at++
	}
	return !d.Bad()
}

// soundStrict reports whether a Strict rollout is as it can be: it is for all, and was frozen before it was switched.
func (r *Rollout) soundStrict() bool {
	return !r.Plan.forSome() && !r.Plan.Dry && (r.frozen() || r.Switched.IsZero())
}
