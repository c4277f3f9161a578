package once

import (
	"context"
	"slices"
	"testing"
	"time"
)

// logClock is the log's time as package cluster has it: the last stamp, and what has passed at the leader
// since. It jumps to where the clocks of a majority have come, and never back.
type logClock struct {
	stamp, at time.Time

	jumps  int // by more than a second
	jumped time.Duration
}

func (c *logClock) now(clocks []time.Time) time.Time {
	slices.SortFunc(clocks, time.Time.Compare)
	now := c.stamp.Add(time.Since(c.at))
	if most := clocks[(len(clocks)-1)/2]; most.After(now) {
		if by := most.Sub(now); by > time.Second {
			c.jumps++
			c.jumped += by
		}
		c.lead(most)
		return most
	}
	return now
}

// lead has another node lead, which begins at the log's last stamp.
func (c *logClock) lead(stamp time.Time) { c.stamp, c.at = stamp, time.Now() }

// clocksLocked returns the times of day of the nodes' last runs; that of one which is not heard is zero.
func (l *lab) clocksLocked() (clocks []time.Time) {
	last := map[string]*labNode{}
	for _, n := range l.nodes {
		last[n.name] = n
	}
	for _, n := range last {
		if n.cut {
			clocks = append(clocks, time.Time{})
		} else {
			clocks = append(clocks, n.timeOfDay())
		}
	}
	return clocks
}

// timeOfDay is what the clock on the node's wall shows. Its monotonic clock is that of the bubble.
func (n *labNode) timeOfDay() time.Time { return time.Now().Round(0).Add(time.Duration(n.wall.Load())) }

// setClocks puts the nodes' clocks of day forward, or back, from what is right.
func (l *lab) setClocks(by time.Duration, nodes ...*labNode) {
	for _, n := range nodes {
		n.wall.Store(int64(by))
	}
}

// ranAt returns when a daily job of one in the morning was run, by the log's time, in the first hours after
// midnight. The clocks of the nodes are set when some time of these has passed, in which nothing has
// happened.
func ranAt(l *lab, after time.Duration, by []time.Duration) (at []time.Time) {
	for _, n := range l.nodes {
		err := n.Every("daily", Schedule{Cron: "0 1 * * *", Zone: "UTC"}, func(context.Context, Tick) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			at = append(at, l.clock.now(l.clocksLocked()))
			return nil
		})
		if err != nil {
			l.t.Error(err)
		}
	}
	time.Sleep(after)
	for i, n := range l.nodes {
		l.setClocks(by[i], n)
	}
	time.Sleep(150*time.Minute - after)
	l.mu.Lock()
	defer l.mu.Unlock()
	return at
}

// A job is run in time by the log's clock, whatever the clocks of the nodes do while nothing else happens: in
// an idle farm only a command tells that the log's time has jumped.
func TestClocksAreSet(t *testing.T) {
	const m = time.Minute
	for name, test := range map[string]struct {
		after time.Duration
		by    []time.Duration
	}{
		"all forwards":                  {10 * m, []time.Duration{30 * m, 30 * m, 30 * m}},
		"all far forwards":              {10 * m, []time.Duration{45 * m, 45 * m, 45 * m}},
		"all forwards, just before it":  {41 * m, []time.Duration{13 * m, 13 * m, 13 * m}},
		"all forwards, closely before":  {44 * m, []time.Duration{15 * m, 15 * m, 15 * m}},
		"most forwards, just before it": {45 * m, []time.Duration{12 * m, 0, 12 * m}},
		"all backwards":                 {10 * m, []time.Duration{-30 * m, -30 * m, -30 * m}},
		"one forwards":                  {10 * m, []time.Duration{30 * m, 0, 0}},
		"one backwards":                 {10 * m, []time.Duration{0, -24 * 60 * m, 0}},
		"one a year forwards":           {10 * m, []time.Duration{0, 0, 365 * 24 * 60 * m}},
		"two apart":                     {10 * m, []time.Duration{30 * m, 40 * m, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 3, func(l *lab) {
				one := time.Now().Truncate(24 * time.Hour).Add(time.Hour)
				at := ranAt(l, test.after, test.by)
				j := l.nodes[0].Jobs()[0]
				if len(at) != 1 || at[0].Before(one) || at[0].Sub(one) > time.Minute+time.Second {
					t.Errorf("run at %v; claimed %d, missed %d", at, j.Claimed, j.MissedTimes)
				}
				if n := len(l.entries); n > 150 {
					t.Errorf("%d entries in some hours", n)
				}
			})
		})
	}
}
