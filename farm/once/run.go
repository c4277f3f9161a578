package once

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// begin starts the runs that this node has by its copy of the state, whatever it knows of how they came
// about: the answer to a claim may have been lost. Fences rise, so what it has begun is known by the
// greatest, also when a copy is made anew and has, for a while, runs that are over.
func (j *job) begin(now state.Job) {
	for _, r := range now.Runs { // in the order of their fences
		if r.Owner != j.o.id || r.Fence <= j.begun {
			continue
		}
		j.begun = r.Fence
		if o := j.o; !j.c.spawn(func() { j.run(o, r) }) {
			return
		}
	}
}

// run runs the job once, and puts into the log what came of it.
func (j *job) run(o *owner, r state.Run) {
	defer j.c.runs()()
	for err := o.confirm(o.ctx); err != nil; err = o.confirm(o.ctx) { // no hurry: nobody else has this run
		if err == ErrLost || !sleep.For(o.ctx, retryPause) {
			return // the owner ends, and the log has that
		}
	}
	l := newLease(o.ctx, o, j.name, 0, r.Fence, func(m *Machine) bool {
		now, ok := m.Job(j.name)
		return ok && slices.ContainsFunc(now.Runs, func(x state.Run) bool { return x.Fence == r.Fence })
	})
	err := j.call(l, r)
	l.finish(context.Canceled)
	result := state.Finish{Owner: o.id, Job: j.name, Fence: r.Fence}
	if err != nil {
		result.Outcome, result.Error = state.Failed, err.Error()
	}
	if _, err := j.c.insist(o.ctx, result); err != nil && j.c.ctx.Err() != nil {
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		defer cancel()
		j.c.do(ctx, result) // otherwise it is taken for abandoned
	}
}

// call calls the job's function.
func (j *job) call(l *Lease, r state.Run) error {
	j.c.counters.runs.Add(1)
	t := Tick{Job: j.name, Time: time.UnixMilli(r.At).In(j.zone), Manual: r.Manual, Fence: r.Fence}
	began, loud := time.Now(), j.loudness(r)
	j.c.log.Log(l.ctx, loud, "runs here", "job", j.name, "time", t.Time, "fence", t.Fence)
	err := call(l.over(l.ctx), func(ctx context.Context) error { return j.fn(j.c.cfg.Context(ctx), t) })
	if cause := context.Cause(l.ctx); cause != nil && err == nil && errors.Is(cause, ErrLost) {
		err = ErrLost
	}
	j.say(loud, err, "time", t.Time, "fence", t.Fence, "after", time.Since(began))
	return err
}

// quietBelow is how often a job has to be due for its runs to be of no interest as long as they go well.
const quietBelow = 5 * time.Minute

// loudness returns the level at which a run is told of.
func (j *job) loudness(r state.Run) slog.Level {
	at := time.UnixMilli(r.At)
	if next := j.cron.Next(at); !r.Manual && next.After(at) && next.Sub(at) < quietBelow {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// say logs what came of a run. Of a job that is due often, and fails in the same way each time, the first
// failure is told, and that it went well again.
func (j *job) say(loud slog.Level, err error, args ...any) {
	text := ""
	if err != nil {
		j.c.counters.failed.Add(1)
		text = err.Error()
	}
	j.mu.Lock()
	before := j.failure
	j.failure = text
	j.mu.Unlock()
	switch {
	case err != nil && (loud > slog.LevelDebug || text != before):
		j.sayFailed("a job failed", err, args...)
	case err != nil:
		j.c.log.Debug("a job failed again", append(args, "job", j.name, "err", err)...)
	case before != "":
		j.c.log.Info("ran, after it had failed here", append(args, "job", j.name)...)
	default:
		j.c.log.Log(context.Background(), loud, "ran", append(args, "job", j.name)...)
	}
}
