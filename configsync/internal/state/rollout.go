package state

import (
	"slices"
	"time"
)

// active returns the rollout that a step is about, if it is in progress. If not, the answer says how it ended:
// a step that is repeated has no other outcome than the first time.
func (s *State) active(id uint64) (r Rollout, a Answer, ok bool) {
	if r, ok = s.InProgress(); ok && r.ID == id {
		return r, Answer{}, true
	}
	r, _ = s.Rollout(id)
	return r, Answer{Ended, s.Current().Number, r.Release, r.ID}, false
}

func (s *State) activate(cmd []byte, at moment) (*State, Answer) {
	c, ok := decodeActivate(cmd)
	if !ok {
		return nil, s.refuse(Malformed)
	}
	r, a, ok := s.active(c.Rollout)
	if !ok || r.Phase != Staging || r.Plan.Dry || r.Plan.Strict > 0 && !r.frozen() {
		a.Status, a.Epoch, a.Release, a.Rollout = Ended, s.Current().Number, r.Release, r.ID
		return nil, a
	}
	next := s.clone()
	at.time = s.later(at.time)
	r.Ready, r.Unconfirmed, r.Switched, r.Phase = c.Ready, c.Unconfirmed, at.time, Confirming
	if r.Plan.forSome() {
		next.canary = Canary{r.ID, r.Release, r.Plan.Nodes, r.Plan.Percent}
		next.turn += min(1, r.Plan.Percent)
	} else {
		r.Epoch = next.putInForce(r.Release, r, r.Who, r.Why, at)
		next.noCanary()
	}
	if r.Plan.Confirm == 0 {
		r.Phase, r.Ended = Done, at.time
	}
	next.reject(r.Release, "")
	next.replace(r)
	return next, Answer{OK, next.Current().Number, r.Release, r.ID}
}

// later returns the time at which what clients are shown changes: in a later second than the last time, since browsers
// compare seconds.
func (s *State) later(now time.Time) time.Time {
	last := s.Since()
	for _, r := range s.rollouts {
		if r.Plan.forSome() && r.Switched.After(last) {
			last = r.Switched
		}
	}
	if next := last.Truncate(time.Second).Add(time.Second); !last.IsZero() && now.Before(next) {
		now = next
	}
	if last := time.UnixMilli(maxTime).UTC(); now.After(last) {
		return last
	}
	return now
}

// putInForce puts a release in force, and returns the number of the epoch.
func (s *State) putInForce(release uint64, by Rollout, who, why string, at moment) uint64 {
	r, _ := s.Release(release)
	e := Epoch{Number: s.Current().Number + 1, Release: r.ID, Revision: r.Revision, Rollout: by.ID,
		Index: at.index, Time: at.time, Who: who, Why: why}
	s.epochs = append(s.epochs, e)
	return e.Number
}

// replace sets the newest rollout.
func (s *State) replace(r Rollout) { s.rollouts[len(s.rollouts)-1] = r }

// reject says why a release has failed; "" = it has not.
func (s *State) reject(release uint64, why string) {
	for i := range s.releases {
		if s.releases[i].ID == release {
			s.releases[i].Rejected = why
		}
	}
}

// untry keeps a release for later that somebody has given up and nothing speaks against, as before it was tried. So
// nobody has to publish it again.
func (s *State) untry(release uint64) {
	for i := range s.releases {
		r := &s.releases[i]
		inForce := slices.ContainsFunc(s.epochs, func(e Epoch) bool { return e.Release == r.ID })
		if r.ID == release && !inForce && r.Rejected == "" {
			r.Tried = false
		}
	}
}

// step carries out the commands that end something.
func (s *State) step(op byte, cmd []byte, at moment) (*State, Answer) {
	c, ok := decodeStep(cmd)
	if !ok {
		return nil, s.refuse(Malformed)
	}
	if op == opEndCanary {
		return s.endCanary(c, at)
	}
	r, _, ok := s.active(c.Rollout)
	if !ok || (r.Phase == Staging) != (op == opAbort) {
		return nil, Answer{Ended, s.Current().Number, r.Release, r.ID}
	}
	next := s.clone()
	r.Ended = at.time
	switch op {
	case opConfirm:
		r.Phase = Done
	case opAbort:
		r.Phase, r.By, r.Reason = Aborted, c.Who, c.Why
		switch {
		case r.frozen(): // all were ready, and nothing is wrong with the release
			next.untry(r.Release)
		case !r.Plan.Dry && r.Release != s.canary.Release: // some are shown it, and nothing was wrong with it there
			next.reject(r.Release, c.Why)
		}
	case opReturn:
		r.Phase, r.By, r.Reason = Returned, c.Who, c.Why
		next.reject(r.Release, c.Why)
		at.time = s.later(at.time)
		if r.Plan.forSome() {
			r.Ended = at.time
		}
		next.goBack(r, c, at)
	}
	next.replace(r)
	return next, Answer{OK, next.Current().Number, r.Release, r.ID}
}

// goBack puts the release in force again that was before a rollout.
func (s *State) goBack(r Rollout, c Step, at moment) {
	if r.Plan.forSome() {
		s.noCanary()
		return
	}
	s.epochs[len(s.epochs)-1].Failed = true
	was, _ := s.Epoch(r.Was)
	s.putInForce(was.Release, r, c.Who, c.Why, at)
}

func (s *State) endCanary(c Step, at moment) (*State, Answer) {
	if _, running := s.InProgress(); running {
		return nil, s.busy()
	}
	if c.Rollout == 0 || c.Rollout != s.canary.Rollout {
		return nil, s.refuse(Ended)
	}
	next := s.clone()
	next.noCanary()
	next.untry(s.canary.Release)
	for i := range next.rollouts {
		if r := &next.rollouts[i]; r.ID == c.Rollout {
			r.Phase, r.By, r.Reason, r.Ended = Returned, c.Who, c.Why, s.later(at.time)
		}
	}
	return next, Answer{OK, s.Current().Number, s.canary.Release, c.Rollout}
}
