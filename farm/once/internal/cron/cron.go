// Package cron says at which moments a schedule is due. It parses the five fields of crontab(5), optionally
// with seconds before them, and knows what daylight saving time does to them. It starts nothing, and reads no
// clock.
//
// DESIGN.md says what is promised and what was rejected.
package cron

import (
	"slices"
	"time"
)

// Schedule is a set of moments, its ticks: whole seconds from the year 1 to the year 9999. Parse makes one.
// It does not change, and may be used by many goroutines at once. The zero value has no ticks.
type Schedule struct {
	expr string
	zone *time.Location
	calendar
	fixed bool // the hours are named, so that each local time counts once: see zone.go
}

// first and last bound what a schedule can name.
var (
	first = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	last  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// String returns the fields and the zone, as "0 3 * * * Europe/Berlin", without what is only another way of
// writing the same fields: spaces, and words as @daily. It is "" for the zero value.
func (s Schedule) String() string {
	if s.zone == nil {
		return ""
	}
	return s.expr + " " + s.zone.String()
}

// Next returns the first tick that is later than after, in the zone of the schedule. It returns the zero time
// if there is none any more.
func (s Schedule) Next(after time.Time) time.Time {
	if s.zone == nil {
		return time.Time{}
	}
	tick, ok := s.next(seconds(after))
	if !ok {
		return time.Time{}
	}
	return s.at(tick)
}

// Last returns the ticks that are later than after and not later than until, oldest first, in the zone of the
// schedule. If there are more than keep of them, it returns the newest keep, and more is true. It searches
// backwards from until, so its time grows with keep, and not with the ticks that are left out. A keep of zero
// or less only asks whether there is a tick.
func (s Schedule) Last(after, until time.Time, keep int) (ticks []time.Time, more bool) {
	if s.zone == nil {
		return nil, false
	}
	earliest, t := seconds(after), seconds(until)
	for {
		tick, ok := s.previous(t)
		if !ok || tick <= earliest {
			break
		}
		if len(ticks) >= keep {
			more = true
			break
		}
		ticks = append(ticks, s.at(tick))
		t = tick - 1
	}
	slices.Reverse(ticks)
	return ticks, more
}

func (s Schedule) at(tick int64) time.Time { return time.Unix(tick, 0).In(s.zone) }

// seconds returns the second that t is in. What lies beyond all ticks of all zones is cut, so that sums of it
// hold.
func seconds(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(first-2*maxOffset, 0)):
		return first - 2*maxOffset
	case t.After(time.Unix(last+2*maxOffset, 0)):
		return last + 2*maxOffset
	}
	return t.Unix() // rounds down, before 1970 too
}
