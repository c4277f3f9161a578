package state

import (
	"maps"
	"slices"
)

// job is work that is due at certain times, in the whole farm once each. Which times those are is computed by
// the nodes, because that takes time zones and parsers, and no two programs need have the same; a claim says
// which it carries out and what comes next, and only a claim of what is next is taken.
type job struct {
	spec    Spec // what counts now
	offers  map[string]offer
	paused  bool
	next    int64 // ms since 1970; 0 = to be planned
	last    int64 // the latest tick that was claimed or passed over
	backlog []pending
	runs    []Run
	results []Result // the newest last
	counts  Counts
}

// Spec says when a job is due and what becomes of ticks that cannot be run in time.
type Spec struct {
	Schedule string // for the nodes; not looked into here
	Zone     string
	Jitter   int64 // ms
	Grace    int64 // ms after the tick and its jitter; for MissedSkip
	Overlap  Overlap
	Missed   Missed
}

// Overlap says what becomes of a tick while an earlier one runs.
type Overlap byte

// The kinds of overlap.
const (
	OverlapSkip  Overlap = iota // it is not run
	OverlapQueue                // it waits
	OverlapAllow                // it runs beside
	overlaps
)

// String returns skip, queue or allow.
func (o Overlap) String() string { return nameOf(int(o), "skip", "queue", "allow") }

func nameOf(i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}

// Missed says what becomes of ticks that nobody claimed in time.
type Missed byte

// The kinds of missed ticks.
const (
	MissedSkip Missed = iota // they are not run, if they are older than Grace
	MissedLast               // the last of them is run
	MissedAll                // all are run, the newest MaxTicks of them
	misseds
)

// String returns skip, last or all.
func (m Missed) String() string { return nameOf(int(m), "skip", "last", "all") }

// offer is an owner's readiness to run a job, as it understands it.
type offer struct {
	spec  Spec
	order uint64 // log index
}

// Counts are the ticks of a job since it was first offered.
type Counts struct {
	Claimed uint64 // that were run, or are to be
	Skipped uint64 // that came while the job was paused or an earlier one ran, or that found no room
	Missed  uint64 // that nobody claimed in time; of more than MaxTicks at once, those beyond count as one
}

// Offer has an owner take part in a job. Where other owners offer it differently, theirs counts, and this
// owner does not run it before they have ended; where nobody else offers it, it is replaced by this one.
//
// Answers: OK; Differs; Gone; Full.
type Offer struct {
	Owner string
	Job   string
	Spec  Spec
}

func (c Offer) apply(s *step) Answer {
	if s.owners[c.Owner] == nil {
		return Answer{Code: Gone}
	}
	j := s.jobs[c.Job]
	if j == nil {
		if len(s.jobs) >= MaxJobs {
			return Answer{Code: Full}
		}
		j = &job{spec: c.Spec, offers: map[string]offer{}}
		s.jobs[c.Job] = j
	}
	j.offers[c.Owner] = offer{c.Spec, s.index}
	s.settle(j)
	s.tellJob(c.Job)
	if j.spec != c.Spec {
		return Answer{Code: Differs}
	}
	return Answer{Code: OK}
}

// Withdraw ends an owner's part in a job. A run that goes on is not concerned.
//
// Answers: OK; Gone.
type Withdraw struct{ Owner, Job string }

func (c Withdraw) apply(s *step) Answer {
	j := s.jobs[c.Job]
	if j == nil || s.owners[c.Owner] == nil {
		return Answer{Code: Gone}
	}
	delete(j.offers, c.Owner)
	s.settle(j)
	s.tellJob(c.Job)
	return Answer{Code: OK}
}

// settle sees to it that what counts is what somebody offers, if anybody does: the oldest offer, when those
// of the present one have gone.
func (s *step) settle(j *job) {
	var oldest *offer
	for _, o := range j.offers { // the order of a map does not matter here: no two have the same place
		if o.spec == j.spec {
			return
		}
		if oldest == nil || o.order < oldest.order || o.order == oldest.order && o.spec.less(oldest.spec) {
			oldest = &o
		}
	}
	if oldest == nil {
		return
	}
	if j.spec = oldest.spec; j.next > s.now { // else it was missed: the new times begin there
		j.next = 0
	}
}

// less orders specs, somehow.
func (a Spec) less(b Spec) bool { return string(a.append(nil)) < string(b.append(nil)) }

// quit ends an owner's part in a job, and its runs.
func (s *step) quit(name string, o *owner) {
	j := s.jobs[name]
	_, offers := j.offers[o.ID]
	runs := slices.ContainsFunc(j.runs, func(r Run) bool { return r.Owner == o.ID })
	if !offers && !runs {
		return
	}
	delete(j.offers, o.ID)
	for _, r := range slices.Clone(j.runs) {
		if r.Owner == o.ID {
			j.finish(r.Fence, Result{Ended: s.now, Outcome: Abandoned, Error: "its node ended before it"})
		}
	}
	s.settle(j)
	s.tellJob(name)
}

// Plan says when a job is due next, where that is not known.
//
// Answers: OK; Lost if it is known, or this is not later than the last one; Gone if the owner has no part in
// the job as it is now.
type Plan struct {
	Owner, Job string
	Next       int64 // ms since 1970
}

func (c Plan) apply(s *step) Answer {
	j := s.offered(c.Owner, c.Job)
	switch {
	case j == nil:
		return Answer{Code: Gone}
	case j.next != 0, c.Next <= j.last:
		return Answer{Code: Lost}
	}
	j.next = c.Next
	s.tellJob(c.Job)
	return Answer{Code: OK}
}

// offered returns the job if the owner offers it as it is now.
func (s *step) offered(owner, name string) *job {
	j := s.jobs[name]
	if j == nil || s.owners[owner] == nil {
		return nil
	}
	if o, ok := j.offers[owner]; !ok || o.spec != j.spec {
		return nil
	}
	return j
}

// Trigger has a job run now, paused or not, by an operator's word. It waits for a run that goes on.
//
// Answers: OK; Gone if there is no such job, or nobody offers it; Full.
type Trigger struct{ Job string }

func (c Trigger) apply(s *step) Answer {
	j := s.jobs[c.Job]
	switch {
	case j == nil || len(j.offers) == 0:
		return Answer{Code: Gone}
	case len(j.backlog) >= MaxBacklog:
		return Answer{Code: Full}
	}
	j.push(pending{At: s.now, Manual: true})
	s.tellJob(c.Job)
	return Answer{Code: OK}
}

// Pause has a job skip its ticks, or not any more.
//
// Answers: OK; Gone if there is no such job.
type Pause struct {
	Job    string
	Paused bool
}

func (c Pause) apply(s *step) Answer {
	j := s.jobs[c.Job]
	if j == nil {
		return Answer{Code: Gone}
	}
	j.paused = c.Paused
	s.tellJob(c.Job)
	return Answer{Code: OK}
}

// Forget removes a job that nobody offers, or a migration that is done.
//
// Answers: OK; Gone if there is none; Busy if a job is offered or runs.
type Forget struct {
	Name string
	Done bool // a migration
}

func (c Forget) apply(s *step) Answer {
	if c.Done {
		_, ok := s.done[c.Name]
		delete(s.done, c.Name)
		return Answer{Code: when(ok, OK, Gone)}
	}
	j := s.jobs[c.Name]
	switch {
	case j == nil:
		return Answer{Code: Gone}
	case len(j.offers) > 0 || len(j.runs) > 0:
		return Answer{Code: Busy}
	}
	delete(s.jobs, c.Name)
	s.tellJob(c.Name)
	return Answer{Code: OK}
}

func when(ok bool, yes, no Code) Code {
	if ok {
		return yes
	}
	return no
}

// offerers returns the owners that offer the job as it is now, in order.
func (j *job) offerers() (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(j.offers)) {
		if j.offers[id].spec == j.spec {
			ids = append(ids, id)
		}
	}
	return ids
}
