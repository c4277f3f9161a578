package farm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/internal/program"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// answerJobs answers what an operator asks about jobs, locks and migrations, and has jobs run, paused and forgotten, and
// migrations forgotten; false if it is about something else.
func (f *Farm) answerJobs(ctx context.Context, ask, about string) (answer any, ok bool, err error) {
	switch ask {
	case program.Jobs, program.Job, program.Locks, program.Migrations:
		if level := f.node.State().Level; level < once.CommandLevel(nil) {
			return nil, true, errJobsLevel(level)
		}
	}
	switch ask {
	case program.Jobs:
		answer = f.jobList(ctx, about)
	case program.Job:
		answer, err = f.oneJob(ctx, about)
	case program.Locks:
		answer = f.lockList(ctx, about)
	case program.Migrations:
		answer = f.migrationList(ctx, about)
	case program.ForgetMigration:
		answer, err = struct{}{}, f.forgetMigration(ctx, about)
	case program.RunJob, program.PauseJob, program.ResumeJob, program.ForgetJob:
		answer, err = struct{}{}, f.orderJob(ctx, ask, about)
	default:
		return nil, false, nil
	}
	return answer, true, err
}

// errJobsLevel says what to do about a farm in which there can be no jobs yet.
func errJobsLevel(level int) error {
	return fmt.Errorf("the farm works at protocol level %d, and jobs and locks need %d: once all nodes run "+
		"this version, farmctl finalize puts that in force", level, once.CommandLevel(nil))
}

// orderJob does what an operator wants of a job.
func (f *Farm) orderJob(ctx context.Context, verb, job string) (err error) {
	said := ""
	switch verb {
	case program.RunJob:
		err, said = f.jobs.Run(ctx, job), "an operator has a job run now"
	case program.PauseJob:
		err, said = f.jobs.Pause(ctx, job, true),
			"an operator has the times of a job skipped, until that is taken back"
	case program.ResumeJob:
		err, said = f.jobs.Pause(ctx, job, false), "an operator has a job go on"
	case program.ForgetJob:
		err, said = f.jobs.Forget(ctx, job), "an operator has a job forgotten"
	}
	switch {
	case err == nil:
		f.log.Info(said, "job", job)
		return nil
	case errors.Is(err, once.ErrLevel):
		return errJobsLevel(f.node.State().Level)
	case errors.Is(err, once.ErrNoJob):
		return fmt.Errorf("the farm has no job %q", job)
	case errors.Is(err, once.ErrNoNode):
		return fmt.Errorf("no program that runs now registers the job %q, so nobody would run it", job)
	case errors.Is(err, once.ErrHeld):
		return fmt.Errorf("the program of a node still registers the job %q, or runs it", job)
	}
	return err
}

const (
	listBytes = 1 << 20         // of one answer to an operator, somewhat more or less
	catchTime = 2 * time.Second // for a leader's word, before a list is of what this node knows
)

// catchUp has this node's copy of jobs and locks catch up with everything that was acknowledged before, and reports
// whether it has.
func (f *Farm) catchUp(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, catchTime)
	defer cancel()
	return f.node.Handle(machineOnce).Barrier(ctx) == nil
}

func (f *Farm) jobList(ctx context.Context, after string) program.JobList {
	l := program.JobList{Stale: !f.catchUp(ctx), At: time.Now().UTC()}
	left := listBytes
	for _, j := range f.jobs.Jobs() {
		if j.Name <= after {
			continue
		}
		if n := len(j.Results); n > 0 { // program.Job has them all
			j.Results = j.Results[n-1:]
		}
		if l.More = left <= 0; l.More {
			break
		}
		left -= sizeOf(j)
		l.Jobs = append(l.Jobs, j)
	}
	return l
}

func (f *Farm) oneJob(ctx context.Context, name string) (program.JobList, error) {
	l := program.JobList{Stale: !f.catchUp(ctx), At: time.Now().UTC()}
	j, ok := f.jobs.Job(name)
	if !ok {
		return l, fmt.Errorf("the farm has no job %q", name)
	}
	l.Jobs = []once.Job{j}
	return l, nil
}

func (f *Farm) lockList(ctx context.Context, after string) program.LockList {
	l := program.LockList{Stale: !f.catchUp(ctx), At: time.Now().UTC()}
	left := listBytes
	for _, h := range f.jobs.Locks() {
		if h.Kind+"/"+h.Name <= after {
			continue
		}
		if l.More = left <= 0; l.More {
			break
		}
		left -= sizeOf(h)
		l.Locks = append(l.Locks, h)
	}
	return l
}

func (f *Farm) migrationList(ctx context.Context, after string) program.MigrationList {
	l := program.MigrationList{Stale: !f.catchUp(ctx), At: time.Now().UTC()}
	left := listBytes
	for _, m := range f.jobs.Migrations() {
		if m.Name <= after {
			continue
		}
		if l.More = left <= 0; l.More {
			break
		}
		left -= sizeOf(m)
		l.Migrations = append(l.Migrations, m)
	}
	return l
}

// forgetMigration has a migration run again.
func (f *Farm) forgetMigration(ctx context.Context, name string) error {
	err := f.jobs.ForgetMigration(ctx, name)
	switch {
	case err == nil:
		f.log.Warn("an operator has a migration forgotten: the next program that asks for it runs it again",
			"migration", name)
	case errors.Is(err, once.ErrLevel):
		return errJobsLevel(f.node.State().Level)
	case errors.Is(err, once.ErrNoMigration):
		return fmt.Errorf("no migration %q has succeeded in this farm", name)
	}
	return err
}

func sizeOf(v any) int {
	b, _ := json.Marshal(v)
	return len(b)
}
