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

// String returns skip, last or all.
func (m Missed) String() string { return nameOf(int(m), "skip", "last", "all") }

// String returns succeeded, failed or abandoned.
func (o Outcome) String() string { return nameOf(int(o), "succeeded", "failed", "abandoned") }

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

// offer is an owner's readiness to run a job, as it understands it.
type offer struct {
	spec  Spec
	order uint64 // log index
}

// pending is a tick that was claimed and waits for its run.
type pending struct {
	At     int64 // ms since 1970
	Manual bool  // an operator asked for it
}

// Run is the run of one tick. It is a lease: it ends with its owner.
type Run struct {
	At      int64 // the tick; ms since 1970
	Manual  bool
	Fence   uint64
	Owner   string
	Node    string
	Started int64 // ms since 1970, by the log's time
}

// Result is what came of a run.
type Result struct {
	Run
	Ended   int64 // ms since 1970, by the log's time
	Outcome Outcome
	Error   string // for people; at most MaxText bytes
}

// Outcome is how a run ended.
type Outcome byte

// The outcomes.
const (
	Succeeded Outcome = iota
	Failed
	Abandoned // its node ended before it
	outcomes
)

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

// Claim takes the ticks that are due, and says which is next. Of all claims of one Expect the first in the
// log counts. The job's policies say which of Ticks are run; the owner that claims them gets the first, if
// one may run now.
//
// Answers: Granted with Fence and At; OK if nothing is to run now; Lost if another was first; Early if a tick
// is later than the log's time; Gone if the owner has no part in the job as
// it is now.
type Claim struct {
	Owner, Job string
	Expect     int64   // the job's next, as the owner knows it
	Ticks      []int64 // ascending, the first not before Expect; the newest MaxTicks of all that are due
	Left       uint64  // ticks that were due besides, and are too many
	Next       int64
}

func (c Claim) apply(s *step) Answer {
	j := s.offered(c.Owner, c.Job)
	switch {
	case j == nil:
		return Answer{Code: Gone}
	case j.next != c.Expect || c.Expect == 0:
		return Answer{Code: Lost}
	case !c.ascends():
		return Answer{Code: Malformed}
	}
	newest := c.Ticks[len(c.Ticks)-1]
	if newest > s.now {
		return Answer{Code: Early}
	}
	j.last, j.next = newest, c.Next
	j.counts.Missed += c.Left
	j.take(c.Ticks, s.now)
	s.tellJob(c.Job)
	return s.start(j, c.Owner)
}

func (c Claim) ascends() bool {
	if len(c.Ticks) == 0 || c.Ticks[0] < c.Expect || c.Next <= c.Ticks[len(c.Ticks)-1] {
		return false
	}
	for i, t := range c.Ticks[1:] {
		if t <= c.Ticks[i] {
			return false
		}
	}
	return true
}

// take puts ticks into the backlog, as far as the policies want them run.
func (j *job) take(ticks []int64, now int64) {
	newest := ticks[len(ticks)-1:]
	late := now-newest[0] > j.spec.Jitter+j.spec.Grace
	switch {
	case j.paused:
		j.counts.Skipped += uint64(len(ticks))
		return
	case j.spec.Missed == MissedSkip && late:
		j.counts.Missed += uint64(len(ticks))
		return
	case j.spec.Missed != MissedAll:
		j.counts.Missed += uint64(len(ticks) - 1)
		ticks = newest
	}
	if j.spec.Overlap == OverlapSkip && j.busy() {
		j.counts.Skipped += uint64(len(ticks))
		return
	}
	for _, at := range ticks {
		j.push(pending{At: at})
	}
}

func (j *job) busy() bool { return len(j.runs) > 0 || len(j.backlog) > 0 }

// push adds to the backlog. In a full one the oldest makes room.
func (j *job) push(p pending) {
	if j.counts.Claimed++; len(j.backlog) >= MaxBacklog {
		j.backlog = slices.Delete(j.backlog, 0, 1)
		j.counts.Claimed--
		j.counts.Skipped++
	}
	j.backlog = append(j.backlog, p)
}

// Start asks for the run of a tick that waits for one.
//
// Answers: Granted with Fence and At; OK if nothing is to run now; Gone if the owner has no part in the job
// as it is now.
type Start struct{ Owner, Job string }

func (c Start) apply(s *step) Answer {
	j := s.offered(c.Owner, c.Job)
	if j == nil {
		return Answer{Code: Gone}
	}
	a := s.start(j, c.Owner)
	if a.Code == Granted {
		s.tellJob(c.Job)
	}
	return a
}

// start gives an owner the run of the first tick that waits, if one may run now.
func (s *step) start(j *job, owner string) Answer {
	if !j.startable() {
		return Answer{Code: OK}
	}
	p := j.backlog[0]
	j.backlog = slices.Delete(j.backlog, 0, 1)
	r := Run{At: p.At, Manual: p.Manual, Fence: s.nextFence(), Owner: owner, Node: s.owners[owner].Node, Started: s.now}
	j.runs = append(j.runs, r)
	return Answer{Code: Granted, Fence: r.Fence, At: r.At, Manual: r.Manual}
}

func (j *job) startable() bool {
	return len(j.backlog) > 0 && (len(j.runs) == 0 || j.spec.Overlap == OverlapAllow && len(j.runs) < MaxRuns)
}

// Finish ends a run.
//
// Answers: OK; Gone if there is no such run any more: its owner had ended.
type Finish struct {
	Owner, Job string
	Fence      uint64
	Outcome    Outcome
	Error      string
}

func (c Finish) apply(s *step) Answer {
	j := s.jobs[c.Job]
	if j == nil || !slices.ContainsFunc(j.runs,
		func(r Run) bool { return r.Fence == c.Fence && r.Owner == c.Owner }) {
		return Answer{Code: Gone}
	}
	j.finish(c.Fence, Result{Ended: s.now, Outcome: c.Outcome, Error: c.Error})
	s.tellJob(c.Job)
	return Answer{Code: OK}
}

// finish turns a run into a result.
func (j *job) finish(fence uint64, result Result) {
	i := slices.IndexFunc(j.runs, func(r Run) bool { return r.Fence == fence })
	result.Run = j.runs[i]
	j.runs = slices.Delete(j.runs, i, i+1)
	if len(j.results) == MaxResults {
		j.results = slices.Delete(j.results, 0, 1)
	}
	j.results = append(j.results, result)
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
