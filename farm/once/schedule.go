package once

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/cron"
	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// Schedule says when a job is due, and what becomes of times that do not fit. Cron and Zone are needed.
type Schedule struct {
	// Cron has the five fields of crontab(5): minute, hour, day of the month, month, day of the week. A sixth
	// one before them is for seconds. @hourly, @daily, @weekly, @monthly and @yearly stand for what they say.
	Cron string

	// Zone is the time zone that Cron is meant in: "UTC", or a name like "Europe/Berlin". Where clocks are
	// put forward, a fixed time that does not exist is run when the gap is over; where they are put back, one
	// that exists twice is run the first time. A schedule of every hour, or of minutes in every hour, goes by
	// elapsed time.
	Zone string

	// Jitter spreads the start: each time is late by less than this, the same on all nodes. 0: none.
	Jitter time.Duration

	// Overlap says what becomes of a time while an earlier run goes on. Zero skips it.
	Overlap Overlap

	// Missed says what becomes of times at which no node could run the job. Zero skips them.
	Missed Missed

	// Grace is how late a time may be run with MissedSkip, after its jitter; zero means a minute.
	Grace time.Duration
}

// Overlap says what becomes of a time while an earlier run of the job goes on.
type Overlap = state.Overlap

// The kinds of overlap.
const (
	OverlapSkip  = state.OverlapSkip  // it is not run
	OverlapQueue = state.OverlapQueue // it waits until that has ended; at most 1000 do
	OverlapAllow = state.OverlapAllow // it is run beside
)

// Missed says what becomes of times at which no node could run a job: none was there, or the farm had no
// majority.
type Missed = state.Missed

// The kinds of missed times.
const (
	MissedSkip = state.MissedSkip // they are not run, if they are older than Grace
	MissedLast = state.MissedLast // the last of them is run

	// MissedAll has all of them run, in their order, or beside each other with OverlapAllow. Of more than 1000
	// the newest are run.
	MissedAll = state.MissedAll
)

// Tick is one run of a job.
type Tick struct {
	Job    string
	Time   time.Time // for which it was scheduled, in the schedule's zone; later by less than Jitter it starts
	Manual bool      // an operator asked for it; then Time is when
	Fence  uint64    // of the lease of this run; see Lease.Fence
}

const defaultGrace = time.Minute

// parsed is a schedule that was understood.
type parsed struct {
	cron cron.Schedule
	zone *time.Location
	spec state.Spec
}

func (s Schedule) parse() (parsed, error) {
	times, err := cron.Parse(s.Cron, s.Zone)
	if err != nil {
		return parsed{}, err
	}
	switch {
	case s.Jitter < 0 || s.Grace < 0:
		return parsed{}, errors.New("Jitter and Grace must not be negative")
	case s.Overlap > OverlapAllow || s.Missed > MissedAll:
		return parsed{}, fmt.Errorf("Overlap %d or Missed %d is unknown", s.Overlap, s.Missed)
	case s.Missed == MissedAll && s.Overlap == OverlapSkip:
		return parsed{}, errors.New("MissedAll runs several times in a row, and OverlapSkip would skip them: " +
			"choose OverlapQueue or OverlapAllow")
	}
	if gap := shortest(times); s.Jitter >= gap {
		return parsed{}, fmt.Errorf(
			"Jitter %v must be less than the time between two times of the schedule, which is %v", s.Jitter, gap)
	}
	if s.Grace == 0 {
		s.Grace = defaultGrace
	}
	zone, err := time.LoadLocation(s.Zone)
	return parsed{times, zone, state.Spec{Schedule: strings.TrimSuffix(times.String(), " "+s.Zone),
		Zone: s.Zone, Jitter: s.Jitter.Milliseconds(), Grace: s.Grace.Milliseconds(), Overlap: s.Overlap,
		Missed: s.Missed}}, err
}

// shortest returns the least time between two of the first times of a schedule, the same on every node.
func shortest(times cron.Schedule) time.Duration {
	gap := time.Duration(math.MaxInt64)
	for at, n := times.Next(time.Unix(0, 0)), 0; !at.IsZero() && n < 1000; n++ {
		next := times.Next(at)
		if !next.IsZero() {
			gap = min(gap, next.Sub(at))
		}
		at = next
	}
	return gap
}

// JobFunc is what a job does. Its context ends when the node stops, or when it cannot be sure any more that
// nobody else runs the job; see Lease.
type JobFunc func(ctx context.Context, t Tick) error
