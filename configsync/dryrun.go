package configsync

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Report is what would come of a release.
type Report struct {
	Result             // Epoch is in force still; Rollout is that of the dry run, 0 = nothing would change
	Refused     string // why it would not be switched to; "" = it would
	Nodes       []NodeProgress
	Differences []Difference // fields that would change
}

// DryRun does all that Publish does, up to the switch, on every member: it fetches what is missing, reads the
// files, and runs the hooks, which are undone then. Nothing changes, save that the log has the record of it.
// What is not ready within Plan.Stage has refused. It is refused itself while another rollout is in progress.
//
// Errors: those of Publish, but ErrRefused and ErrReturned; ErrEnded, if somebody has ended it, or the Key was that of
// another write.
func (m *Manager) DryRun(ctx context.Context, p Publication) (Report, error) {
	p.Plan.Dry, p.Hold = true, false
	r, err := m.publishing.propose(ctx, p)
	if err != nil {
		return Report{Result: r}, err
	}
	return m.dryRuns.tryOut(ctx, r)
}

// DryRunRelease is DryRun of what Activate, or StartCanary for p.Nodes, does. Errors: those of DryRun, and
// ErrNoRelease.
func (m *Manager) DryRunRelease(ctx context.Context, w Write, release uint64, p Plan) (Report, error) {
	p.Dry = true
	r, err := m.publishing.begin(ctx, w, release, p)
	if err != nil {
		return Report{Result: r}, err
	}
	return m.dryRuns.tryOut(ctx, r)
}

// dryRuns carry on what is only tried out.
type dryRuns struct {
	*base
	reading  *reading
	restarts *restarts
	board    *board
	driver   *driver
}

// tryOut carries on a dry run, and ends it. Unlike other rollouts, that is for who has begun it to do: the votes
// are what he wants.
func (dy *dryRuns) tryOut(ctx context.Context, done Result) (Report, error) {
	if done.Rollout == 0 {
		return Report{Result: done}, nil
	}
	s := dy.state()
	r, known := s.Rollout(done.Rollout)
	if !known || !r.Plan.Dry { // or its key was that of another write
		return Report{Result: done}, ErrEnded
	}
	staging, stop := dy.whileStaging(ctx, r.ID)
	defer stop()
	_, _, why := newBallot(dy.base, dy.board, r).gather(staging)
	if cause := context.Cause(staging); cause != nil {
		if errors.Is(cause, ErrEnded) {
			return Report{Result: done}, cause
		}
		why = "dry run: given up"
	}
	out := Report{Result: done, Refused: why, Nodes: dy.board.of(keyOf(r))}
	out.Restart = dy.restarts.restartOf(r)
	was, _ := s.Epoch(r.Was)
	release, _ := s.Release(r.Release)
	out.Differences, _ = dy.reading.diffFiles(filesOf(s, was.Revision), filesOf(s, release.Revision))
	// what is wrong with the files the nodes have said
	if why == "" {
		why = "dry run: all would be ready"
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTime)
	defer cancel()
	dy.driver.abort(end, r, why)
	return out, ctx.Err()
}

// only returns a report as those see it who want to know no more than whether it would be done.
func only(r Report, err error) (Result, error) {
	if err == nil && r.Refused != "" {
		err = fmt.Errorf("%w: %s", ErrRefused, r.Refused)
	}
	return r.Result, err
}

// sight is since when this node has seen a rollout in progress, by its own clock.
type sight struct {
	rollout uint64
	since   time.Time
}

// forgotten reports whether a dry run has outlived who has begun it.
func (s *sight) forgotten(r Rollout) bool {
	if s.rollout != r.ID {
		*s = sight{r.ID, time.Now()}
	}
	return time.Since(s.since) > r.Plan.Stage+stepTime
}
