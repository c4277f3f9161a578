package state

import "slices"

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

// String returns succeeded, failed or abandoned.
func (o Outcome) String() string { return nameOf(int(o), "succeeded", "failed", "abandoned") }

// Claim takes the ticks that are due, and says which is next. Of all claims of one Expect the first in the
// log counts. The job's policies say which of Ticks are run; the owner that claims them gets the first, if
// one may run now.
//
// Answers: Granted with Fence and At; OK if nothing is to run now; Lost if another was first; Early if a tick
// is later than the log's time; Gone if the owner has no part in the job as it is now.
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
	r := Run{At: p.At, Manual: p.Manual, Fence: s.nextFence(), Owner: owner, Node: s.owners[owner].Node,
		Started: s.now}
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
