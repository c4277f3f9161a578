package cron

import (
	"math/bits"
	"time"
)

// A reading is what a local clock shows, as the seconds since 1970 that a clock in UTC would show the same
// at. A calendar knows only readings: every day has 24 hours in it.
type calendar struct {
	second, minute, hour set
	day, month, weekday  set
	either               bool // a day needs to fit only one of day and weekday
}

const (
	secondsOfDay = 24 * 60 * 60
	// cycle is how many days it takes until all dates and weekdays repeat: 400 years.
	cycle = 146097
)

// nextReading returns the first reading of the calendar that is r or later.
func (c calendar) nextReading(r int64) (int64, bool) {
	r = max(r, first)
	day, second := divide(r)
	if c.hasDay(day) {
		if s, ok := c.nextTime(second); ok {
			return within(day*secondsOfDay + int64(s))
		}
	}
	day, ok := c.nextDay(day + 1)
	if !ok {
		return 0, false
	}
	s, _ := c.nextTime(0)
	return within(day*secondsOfDay + int64(s))
}

// previousReading returns the last reading of the calendar that is r or earlier.
func (c calendar) previousReading(r int64) (int64, bool) {
	r = min(r, last)
	day, second := divide(r)
	if c.hasDay(day) {
		if s, ok := c.previousTime(second); ok {
			return within(day*secondsOfDay + int64(s))
		}
	}
	day, ok := c.previousDay(day - 1)
	if !ok {
		return 0, false
	}
	s, _ := c.previousTime(secondsOfDay - 1)
	return within(day*secondsOfDay + int64(s))
}

func within(r int64) (int64, bool) { return r, first <= r && r <= last }

// divide returns the day of a reading, counted from 1970, and the second of that day.
func divide(r int64) (day int64, second int) {
	day, rest := r/secondsOfDay, r%secondsOfDay
	if rest < 0 {
		day, rest = day-1, rest+secondsOfDay
	}
	return day, int(rest)
}

// nextTime returns the first time of a day, in seconds, that is t or later.
func (c calendar) nextTime(t int) (int, bool) {
	h, m, s := t/3600, t/60%60, t%60
	m0, _ := c.minute.next(0)
	s0, _ := c.second.next(0)
	if c.hour.has(h) {
		if c.minute.has(m) {
			if s, ok := c.second.next(s); ok {
				return h*3600 + m*60 + s, true
			}
		}
		if m, ok := c.minute.next(m + 1); ok {
			return h*3600 + m*60 + s0, true
		}
	}
	h, ok := c.hour.next(h + 1)
	return h*3600 + m0*60 + s0, ok
}

// previousTime returns the last time of a day, in seconds, that is t or earlier.
func (c calendar) previousTime(t int) (int, bool) {
	h, m, s := t/3600, t/60%60, t%60
	m1, _ := c.minute.previous(59)
	s1, _ := c.second.previous(59)
	if c.hour.has(h) {
		if c.minute.has(m) {
			if s, ok := c.second.previous(s); ok {
				return h*3600 + m*60 + s, true
			}
		}
		if m, ok := c.minute.previous(m - 1); ok {
			return h*3600 + m*60 + s1, true
		}
	}
	h, ok := c.hour.previous(h - 1)
	return h*3600 + m1*60 + s1, ok
}

// nextDay returns the first day that fits, from day on. It looks through a whole cycle, months at a time
// where it can, so that what it does not find there is nowhere.
func (c calendar) nextDay(day int64) (int64, bool) {
	for end := day + cycle; day <= end; day++ {
		t := date(day)
		if !c.month.has(int(t.Month())) {
			day = dayOf(t.Year(), t.Month()+1, 1) - 1
			continue
		}
		if c.fits(t) {
			return day, true
		}
	}
	return 0, false
}

// previousDay returns the last day that fits, from day back.
func (c calendar) previousDay(day int64) (int64, bool) {
	for end := day - cycle; day >= end; day-- {
		t := date(day)
		if !c.month.has(int(t.Month())) {
			day = dayOf(t.Year(), t.Month(), 1)
			continue
		}
		if c.fits(t) {
			return day, true
		}
	}
	return 0, false
}

func (c calendar) hasDay(day int64) bool {
	t := date(day)
	return c.month.has(int(t.Month())) && c.fits(t)
}

// fits is about day of month and day of week only.
func (c calendar) fits(t time.Time) bool {
	day, weekday := c.day.has(t.Day()), c.weekday.has(int(t.Weekday()))
	if c.either {
		return day || weekday
	}
	return day && weekday
}

func date(day int64) time.Time { return time.Unix(day*secondsOfDay, 0).UTC() }

func dayOf(year int, month time.Month, day int) int64 {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / secondsOfDay
}

// set is a set of numbers from 0 to 63.
type set uint64

func (s set) has(i int) bool { return s&(1<<i) != 0 }

// next returns the smallest number that is i or larger.
func (s set) next(i int) (int, bool) {
	rest := s >> i << i
	return bits.TrailingZeros64(uint64(rest)), rest != 0
}

// previous returns the largest number that is i or smaller.
func (s set) previous(i int) (int, bool) {
	if i < 0 {
		return 0, false
	}
	rest := s & (2<<i - 1)
	return bits.Len64(uint64(rest)) - 1, rest != 0
}
