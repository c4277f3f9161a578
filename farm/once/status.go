package once

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// Job is a job as the farm knows it. Every node can say the same of it.
type Job struct {
	Name    string    `json:"name"`
	Cron    string    `json:"cron"`
	Zone    string    `json:"zone"`
	Overlap string    `json:"overlap"` // skip, queue or allow
	Missed  string    `json:"missed"`  // skip, last or all
	Paused  bool      `json:"paused,omitempty"`
	Next    time.Time `json:"next"`              // zero if nobody has planned it yet
	Nodes   []string  `json:"nodes"`             // names of those that run it, in order
	Differ  []string  `json:"differ,omitempty"`  // names of those that registered it differently, and wait
	Waiting int       `json:"waiting,omitempty"` // times that were claimed and wait for their run
	Running []Run     `json:"running,omitempty"`
	Results []Result  `json:"results,omitempty"` // of the last runs, the newest last; at most 10

	// All times so far, in the life of the job. Claimed were run, or are to be. Skipped came while it was
	// paused, or while an earlier run went on. MissedTimes are those at which no node could run it, and that
	// were not run later; of more than 1000 in a row, those beyond count as one.
	Claimed     uint64 `json:"claimed"`
	Skipped     uint64 `json:"skipped"`
	MissedTimes uint64 `json:"missed_times"`
}

// Run is one run of a job.
type Run struct {
	Time    time.Time `json:"time"` // for which it was scheduled
	Manual  bool      `json:"manual,omitempty"`
	Node    string    `json:"node"`
	Fence   uint64    `json:"fence"`
	Started time.Time `json:"started"`
}

// Result is what came of a run.
type Result struct {
	Run
	Took    time.Duration `json:"took_ns"`
	Outcome string        `json:"outcome"` // succeeded, failed, or abandoned: its node ended before it
	Error   string        `json:"error,omitempty"`
}

// Held is a lock that somebody has: one of Lock, a singleton, or a migration that goes on.
type Held struct {
	Kind    string    `json:"kind"` // lock, singleton or once
	Name    string    `json:"name"`
	Node    string    `json:"node"`
	Fence   uint64    `json:"fence"`
	Since   time.Time `json:"since"`
	Waiting int       `json:"waiting"` // how many wait for it
}

// Jobs returns all jobs of the farm in order of their names, as this node knows them.
func (c *Client) Jobs() []Job {
	m := c.cfg.Local()
	var out []Job
	for _, j := range m.Jobs() {
		out = append(out, jobOf(m, j))
	}
	return out
}

func jobOf(m *Machine, j state.Job) Job {
	out := Job{Name: j.Name, Cron: j.Spec.Schedule, Zone: j.Spec.Zone, Overlap: j.Spec.Overlap.String(),
		Missed: j.Spec.Missed.String(), Paused: j.Paused, Next: timeOf(j.Next), Nodes: names(m, j.Owners),
		Differ: names(m, j.Others), Waiting: j.Backlog, Claimed: j.Counts.Claimed, Skipped: j.Counts.Skipped,
		MissedTimes: j.Counts.Missed}
	for _, r := range j.Runs {
		out.Running = append(out.Running, runOfJob(r))
	}
	for _, r := range j.Results {
		took := time.Duration(r.Ended-r.Started) * time.Millisecond
		out.Results = append(out.Results, Result{runOfJob(r.Run), took, r.Outcome.String(), r.Error})
	}
	return out
}

func runOfJob(r state.Run) Run {
	return Run{timeOf(r.At), r.Manual, r.Node, r.Fence, timeOf(r.Started)}
}

// names returns the names of the nodes of owners, in order.
func names(m *Machine, owners []string) (out []string) {
	for _, id := range owners {
		if o, ok := m.Owner(id); ok {
			out = append(out, o.Node)
		}
	}
	slices.Sort(out)
	return out
}

func timeOf(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

// Locks returns what is held in the farm, as this node knows it, in order of kind and name.
func (c *Client) Locks() []Held {
	var out []Held
	for _, l := range c.cfg.Local().Locks() {
		kind, name := splitKind(l.Name)
		out = append(out, Held{kind, name, l.Node, l.Fence, timeOf(l.Since), l.Waiting})
	}
	return out
}

// Job returns a job as this node knows it, and false if the farm has none of that name.
func (c *Client) Job(name string) (Job, bool) {
	m := c.cfg.Local()
	j, ok := m.Job(name)
	if !ok {
		return Job{}, false
	}
	return jobOf(m, j), true
}

// Migration is one that has succeeded; see Client.Once.
type Migration struct {
	Name  string    `json:"name"`
	Node  string    `json:"node"`
	Fence uint64    `json:"fence"`
	At    time.Time `json:"at"` // when it had
}

// Migrations returns what Once has done in the life of the farm, as this node knows it, in order of the
// names.
func (c *Client) Migrations() (all []Migration) {
	m := c.cfg.Local()
	for _, full := range m.Migrations() {
		if d, ok := m.Done(full); ok {
			_, name := splitKind(full)
			all = append(all, Migration{name, d.Node, d.Fence, timeOf(d.At)})
		}
	}
	return all
}

// ForgetMigration has the farm forget that a migration has succeeded: the next program that asks for it runs
// it again. It is for a database that was taken back to what it was before, or a function that returned nil
// too soon. Error: ErrNoMigration.
func (c *Client) ForgetMigration(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	a, err := c.do(ctx, state.Forget{Name: kindOnce + name, Done: true})
	switch {
	case err != nil:
		return err
	case a.Code == state.OK:
		return nil
	case a.Code == state.Gone:
		return fmt.Errorf("%w: %q", ErrNoMigration, name)
	}
	return unexpected(a)
}

var (
	// ErrNoMigration says that no migration of that name has succeeded.
	ErrNoMigration = errors.New("once: no such migration has succeeded")

	// ErrNoJob says that the farm has no job of that name.
	ErrNoJob = errors.New("once: no such job")

	// ErrNoNode says that no program that runs now registers the job.
	ErrNoNode = errors.New("once: no node runs that job")
)

// Run has a job run now, on one node, paused or not. It waits in line behind runs that go on. Errors:
// ErrNoJob, ErrNoNode, ErrFull.
func (c *Client) Run(ctx context.Context, job string) error {
	return c.order(ctx, job, state.Trigger{Job: job})
}

// Pause has the times of a job skipped, until Pause(ctx, job, false).
func (c *Client) Pause(ctx context.Context, job string, paused bool) error {
	return c.order(ctx, job, state.Pause{Job: job, Paused: paused})
}

// Forget removes a job that no program registers any more.
func (c *Client) Forget(ctx context.Context, job string) error {
	return c.order(ctx, job, state.Forget{Name: job})
}

// order has an operator's word carried out.
func (c *Client) order(ctx context.Context, job string, cmd state.Command) error {
	if err := checkName(job); err != nil {
		return err
	}
	a, err := c.do(ctx, cmd)
	switch {
	case err != nil:
		return err
	case a.Code == state.OK:
		return nil
	case a.Code == state.Gone:
		if _, ok := c.cfg.Local().Job(job); ok {
			return fmt.Errorf("%w: %q", ErrNoNode, job)
		}
		return fmt.Errorf("%w: %q", ErrNoJob, job)
	case a.Code == state.Busy:
		return fmt.Errorf("%w: nodes register the job %q; it is forgotten when no program does", ErrHeld, job)
	case a.Code == state.Full:
		return ErrFull
	}
	return unexpected(a)
}
