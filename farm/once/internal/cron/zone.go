package cron

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"
)

// A moment is a second since 1970, the same everywhere. This file goes from readings of a local clock to
// moments and back, in one of two ways.
//
// A schedule that names its hours is fixed: each of its readings is one tick, at the first moment at which
// the clock shows that reading or a later one. So a reading in a gap is a tick when the gap ends, and a
// repeated reading the first time.
//
// The others go by elapsed time: every moment at which the clock shows one of the readings is a tick. So
// there are none in a gap, and what is repeated is a tick both times.

// maxOffset is more than any zone is off UTC, in seconds: those of the tz database are less than 16 hours
// off.
const maxOffset = 26 * 60 * 60

var zoneName = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

// span is a time during which a zone has one offset. It begins at start, and ends before end.
type span struct{ start, end, offset int64 }

func (s Schedule) spanAt(moment int64) span {
	t := s.at(moment)
	_, offset := t.Zone()
	sp := span{start: math.MinInt64, end: math.MaxInt64, offset: int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		sp.start = start.Unix()
	}
	if !end.IsZero() {
		sp.end = end.Unix()
	}
	if sp.end <= moment { // ZoneBounds is so on 31 December of leap years: DESIGN.md
		day, _ := divide(moment)
		sp.end = (day + 1) * secondsOfDay
	}
	return sp
}

// next returns the first tick after a moment.
func (s Schedule) next(moment int64) (int64, bool) {
	if s.fixed {
		r, ok := s.nextReading(s.latestReading(moment) + 1)
		if !ok {
			return 0, false
		}
		return s.reaches(r), true
	}
	for moment++; ; {
		sp := s.spanAt(moment)
		r, ok := s.nextReading(moment + sp.offset)
		if ok && r-sp.offset < sp.end {
			return r - sp.offset, true
		}
		if sp.end > last+maxOffset {
			return 0, false
		}
		begin := moment
		if moment = sp.end; ok && moment-begin > 2*maxOffset { // no clock shows again what it showed at begin
			moment = max(moment, r-maxOffset)
		}
	}
}

// previous returns the last tick that is not after a moment.
func (s Schedule) previous(moment int64) (int64, bool) {
	if s.fixed {
		r, ok := s.previousReading(s.latestReading(moment))
		if !ok {
			return 0, false
		}
		return s.reaches(r), true
	}
	for {
		sp := s.spanAt(moment)
		r, ok := s.previousReading(moment + sp.offset)
		if ok && r-sp.offset >= sp.start {
			return r - sp.offset, true
		}
		if sp.start < first-maxOffset {
			return 0, false
		}
		begin := moment
		if moment = sp.start - 1; ok && begin-moment > 2*maxOffset {
			moment = min(moment, r+maxOffset)
		}
	}
}

// reaches returns the first moment at which the clock shows r or a later reading.
func (s Schedule) reaches(r int64) int64 {
	moment := r - maxOffset // it shows less then, and has never shown more
	for {
		sp := s.spanAt(moment)
		if moment = max(moment, r-sp.offset); moment < sp.end {
			return moment
		}
		moment = sp.end
	}
}

// latestReading returns the latest reading that the clock has shown up to a moment. That is not the one of
// the moment if the clock was put back just before.
func (s Schedule) latestReading(moment int64) int64 {
	sp := s.spanAt(moment)
	latest := moment + sp.offset
	for sp.start > moment-2*maxOffset {
		before := sp.start - 1
		sp = s.spanAt(before)
		latest = max(latest, before+sp.offset)
	}
	return latest
}

// loadZone finds a zone by a name that means the same on all nodes. Those of the tz database begin with a
// capital: "localtime", "posixrules" and "right/..." are files beside it.
func loadZone(name string) (*time.Location, error) {
	switch {
	case name == "":
		return nil, errors.New(`the time zone is missing: write one, as "UTC" or "Europe/Berlin"`)
	case name == "Local":
		return nil, errors.New(`the time zone "Local" may differ from node to node: ` +
			`write one, as "UTC" or "Europe/Berlin"`)
	case len(name) > 60 || !zoneName.MatchString(name):
		return nil, fmt.Errorf(`time zone %s is no name of the tz database: write one, as "UTC" or "Europe/Berlin"`,
			short(name))
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf(`time zone %s is not in the tz database of this machine, which has names as `+
			`"Europe/Berlin"; if the machine has no database, install tzdata, or import _ "time/tzdata" `+
			`in package main: %w`, short(name), err)
	}
	return loc, nil
}
