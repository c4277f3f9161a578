package cron_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need the zones on every machine

	"github.com/seed48eb2e21/webfarm/farm/once/internal/cron"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// What the clocks of the world do to schedules. The ticks are those after the first moment up to the second
// one, by Next and by Last.
func TestZones(t *testing.T) {
	for _, c := range []struct{ name, expr, zone, after, until, want string }{
		{"a named time in a gap", "30 2 * * *", "Europe/Berlin",
			"2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z",
			"03-28T02:30:00+01:00 03-29T03:00:00+02:00 03-30T02:30:00+02:00"},
		{"several in one gap", "*/15 2 * * *", "Europe/Berlin",
			"2026-03-28T01:40:00Z", "2026-03-30T00:10:00Z",
			"03-28T02:45:00+01:00 03-29T03:00:00+02:00 03-30T02:00:00+02:00"},
		{"in a gap and at its end", "30 2,3 * * *", "Europe/Berlin",
			"2026-03-29T00:00:00Z", "2026-03-29T22:00:00Z",
			"03-29T03:00:00+02:00 03-29T03:30:00+02:00"},
		{"in a gap and at the moment it ends", "0 2,3 * * *", "Europe/Berlin",
			"2026-03-29T00:00:00Z", "2026-03-29T22:00:00Z",
			"03-29T03:00:00+02:00"},
		{"a named time twice", "30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z",
			"10-24T02:30:00+02:00 10-25T02:30:00+02:00 10-26T02:30:00+01:00"},
		{"the end of what is repeated", "0 2,3 * * *", "Europe/Berlin",
			"2026-10-24T22:00:00Z", "2026-10-25T12:00:00Z",
			"10-25T02:00:00+02:00 10-25T03:00:00+01:00"},
		{"a named hour full of ticks, twice", "*/20 2 * * *", "Europe/Berlin",
			"2026-10-24T22:00:00Z", "2026-10-25T12:00:00Z",
			"10-25T02:00:00+02:00 10-25T02:20:00+02:00 10-25T02:40:00+02:00"},
		{"hourly over a gap", "30 * * * *", "Europe/Berlin", "2026-03-28T23:40:00Z", "2026-03-29T02:00:00Z",
			"03-29T01:30:00+01:00 03-29T03:30:00+02:00"},
		{"hourly over a repeated hour", "30 * * * *", "Europe/Berlin",
			"2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z",
			"10-25T01:30:00+02:00 10-25T02:30:00+02:00 10-25T02:30:00+01:00 10-25T03:30:00+01:00"},
		{"all 24 hours by range", "30 0-23 * * *", "Europe/Berlin",
			"2026-10-24T23:40:00Z", "2026-10-25T02:00:00Z",
			"10-25T02:30:00+02:00 10-25T02:30:00+01:00"},
		{"every second hour over a gap", "0 */2 * * *", "Europe/Berlin",
			"2026-03-28T22:00:00Z", "2026-03-29T03:00:00Z",
			"03-29T00:00:00+01:00 03-29T04:00:00+02:00"},
		{"every second hour over a repeated hour", "0 */2 * * *", "Europe/Berlin",
			"2026-10-24T21:00:00Z", "2026-10-25T03:00:00Z",
			"10-25T00:00:00+02:00 10-25T02:00:00+02:00 10-25T02:00:00+01:00 10-25T04:00:00+01:00"},
		{"seconds at the edge of a gap", "*/30 59,0 * * * *", "Europe/Berlin",
			"2026-03-29T00:58:59Z", "2026-03-29T01:01:00Z",
			"03-29T01:59:00+01:00 03-29T01:59:30+01:00 03-29T03:00:00+02:00 03-29T03:00:30+02:00"},

		{"New York springs", "30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z",
			"03-08T03:00:00-04:00 03-09T02:30:00-04:00"},
		{"New York falls", "30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z",
			"11-01T01:30:00-04:00 11-02T01:30:00-05:00"},
		{"New York falls, hourly", "0 * * * *", "America/New_York",
			"2026-11-01T04:00:00Z", "2026-11-01T07:00:00Z",
			"11-01T01:00:00-04:00 11-01T01:00:00-05:00 11-01T02:00:00-05:00"},

		{"half an hour is missing", "15 2 * * *", "Australia/Lord_Howe",
			"2026-10-02T20:00:00Z", "2026-10-05T00:00:00Z",
			"10-04T02:30:00+11:00 10-05T02:15:00+11:00"},
		{"half an hour is missing, hourly", "15 * * * *", "Australia/Lord_Howe",
			"2026-10-03T14:00:00Z", "2026-10-03T17:00:00Z",
			"10-04T01:15:00+10:30 10-04T03:15:00+11:00"},
		{"half an hour comes twice", "45 1 * * *", "Australia/Lord_Howe",
			"2026-04-03T20:00:00Z", "2026-04-06T00:00:00Z",
			"04-05T01:45:00+11:00 04-06T01:45:00+10:30"},
		{"half an hour comes twice, hourly", "45 * * * *", "Australia/Lord_Howe",
			"2026-04-04T14:00:00Z", "2026-04-04T17:00:00Z",
			"04-05T01:45:00+11:00 04-05T01:45:00+10:30 04-05T02:45:00+10:30"},

		{"a midnight is missing", "@daily", "America/Havana", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z",
			"03-08T01:00:00-04:00 03-09T00:00:00-04:00"},
		{"a midnight is missing in Cairo", "@daily", "Africa/Cairo",
			"2026-04-23T12:00:00Z", "2026-04-25T12:00:00Z",
			"04-24T01:00:00+03:00 04-25T00:00:00+03:00"},
		{"a Friday without midnight", "0 0 * * FRI", "Africa/Cairo",
			"2026-04-18T12:00:00Z", "2026-05-02T12:00:00Z",
			"04-24T01:00:00+03:00 05-01T00:00:00+03:00"},
		{"a midnight is missing in Beirut", "0 0 * * *", "Asia/Beirut",
			"2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
			"03-29T01:00:00+03:00 03-30T00:00:00+03:00"},
		{"a day of the month without midnight", "0 1 4 11 *", "America/Sao_Paulo", // nats-io/nats-server#8543
			"2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z", "11-04T01:00:00-02:00"},
		{"a Sunday without midnight", "0 2 * * 0", "America/Sao_Paulo", "2018-11-03T12:00:00Z",
			"2018-11-12T12:00:00Z", "11-04T02:00:00-02:00 11-11T02:00:00-02:00"},
		{"a midnight comes twice", "0 0 * * *", "America/Havana",
			"2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z",
			"11-01T00:00:00-04:00 11-02T00:00:00-05:00"},

		{"a day is missing", "0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z",
			"12-29T12:00:00-10:00 12-31T00:00:00+14:00 12-31T12:00:00+14:00 01-01T12:00:00+14:00"},
		{"a day of the month is missing", "0 12 30 * *", "Pacific/Apia",
			"2011-12-01T00:00:00Z", "2012-02-01T00:00:00Z",
			"12-31T00:00:00+14:00 01-30T12:00:00+14:00"},
		{"a day is missing, every six hours", "0 */6 * * *", "Pacific/Apia",
			"2011-12-30T00:00:00Z", "2011-12-30T18:00:00Z",
			"12-29T18:00:00-10:00 12-31T00:00:00+14:00 12-31T06:00:00+14:00"},
		{"two hours are missing", "0 1,2 * * *", "Antarctica/Troll",
			"2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
			"03-29T03:00:00+02:00 03-30T01:00:00+02:00 03-30T02:00:00+02:00"},
		{"a day came twice", "0 12 * * *", "Pacific/Kwajalein",
			"1969-09-29T12:00:00Z", "1969-10-02T12:00:00Z",
			"09-30T12:00:00+11:00 10-01T12:00:00-12:00"},

		{"a leap day", "0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2033-01-01T00:00:00Z",
			"02-29T00:00:00Z 02-29T00:00:00Z"},
		{"no leap day in 2100", "0 0 29 2 *", "UTC",
			"2096-03-01T00:00:00Z", "2104-03-01T00:00:00Z", "02-29T00:00:00Z"},
		{"a month with 31 days", "0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", "2026-08-01T00:00:00Z",
			"03-31T00:00:00Z 05-31T00:00:00Z 07-31T00:00:00Z"},
		{"the end of a year", "59 59 23 31 12 *", "Europe/Berlin",
			"2025-12-31T22:59:58Z", "2026-12-31T22:59:59Z",
			"12-31T23:59:59+01:00 12-31T23:59:59+01:00"},
		{"the beginning of a year", "0 0 1 1 *", "Asia/Tokyo", "2025-12-31T14:59:59Z", "2025-12-31T15:00:00Z",
			"01-01T00:00:00+09:00"},
		{"31 December of a far leap year", "0 12 * * *", "Europe/Berlin",
			"2060-12-30T12:00:00Z", "2061-01-01T12:00:00Z",
			"12-31T12:00:00+01:00 01-01T12:00:00+01:00"},
		{"31 December of a far leap year, hourly", "0 */12 * * *", "America/New_York", "2060-12-31T06:00:00Z",
			"2061-01-01T06:00:00Z", "12-31T12:00:00-05:00 01-01T00:00:00-05:00"},
		{"parts of a second", "* * * * * *", "UTC", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:02.999Z",
			"01-01T00:00:01Z 01-01T00:00:02Z"},
		{"before 1970", "*/30 * * * * *", "UTC", "1969-12-31T23:58:59.9Z", "1969-12-31T23:59:30.1Z",
			"12-31T23:59:00Z 12-31T23:59:30Z"},
	} {
		s, err := cron.Parse(c.expr, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		var next, newest []string
		until := at(c.until)
		for tick := s.Next(at(c.after)); !tick.After(until) && len(next) < 20; tick = s.Next(tick) {
			next = append(next, tick.Format("01-02T15:04:05Z07:00"))
		}
		all, more := s.Last(at(c.after), until, 20)
		for _, tick := range all {
			newest = append(newest, tick.Format("01-02T15:04:05Z07:00"))
		}
		want := strings.Fields(c.want)
		if !slices.Equal(next, want) || !slices.Equal(newest, want) || more {
			t.Errorf("%s: %s in %s: by Next %v, by Last %v, want %v", c.name, c.expr, c.zone, next, newest, want)
		}
	}
}

// While a clock shows for the second time what it has shown, what was due the first time is over.
func TestZones_Repeated(t *testing.T) {
	s, err := cron.Parse("30,45 2 * * *", "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, moment := range []string{"2026-10-25T02:50:00+02:00", "2026-10-25T02:05:00+01:00",
		"2026-10-25T02:30:00+01:00", "2026-10-25T02:59:59+01:00"} {
		if got, want := s.Next(at(moment)), at("2026-10-26T02:30:00+01:00"); !got.Equal(want) {
			t.Errorf("after %s comes %v, want %v", moment, got, want)
		}
		got, _ := s.Last(at("2026-10-24T22:00:00Z"), at(moment), 1)
		if want := at("2026-10-25T02:45:00+02:00"); len(got) != 1 || !got[0].Equal(want) {
			t.Errorf("the last one until %s is %v, want %v", moment, got, want)
		}
	}
}

// Of many ticks Last finds the newest, and does not go through the others.
func TestLast_Jumps(t *testing.T) {
	for _, expr := range []string{"* * * * * *", "* * 0-22 * * *"} {
		s, err := cron.Parse(expr, "Europe/Berlin")
		if err != nil {
			t.Fatal(err)
		}
		until := at("2026-12-01T12:00:00Z")
		allocs := ci.Allocs(10, 10, func() {
			got, more := s.Last(until.AddDate(-1000, 0, 0), until, 3)
			if len(got) != 3 || !more || !got[2].Equal(until) || !got[0].Equal(until.Add(-2*time.Second)) {
				t.Fatalf("%s: %v, more: %v", expr, got, more)
			}
		})
		if allocs > 10 { // 30,000,000,000 ticks were left out
			t.Errorf("%s: %v allocations", expr, allocs)
		}
	}
}

func TestLast_Bounds(t *testing.T) {
	s, err := cron.Parse("0 * * * *", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	one, three := at("2026-01-01T01:00:00Z"), at("2026-01-01T03:00:00Z")
	for _, c := range []struct {
		after, until time.Time
		keep, want   int
		more         bool
	}{
		{one, three, 2, 2, false},
		{one, three, 1, 1, true},
		{one, three, 0, 0, true},
		{one, three, -1, 0, true},
		{one.Add(-1), three, 9, 3, false},
		{one, three.Add(-1), 9, 1, false},
		{three.Add(-1), three, 9, 1, false},
		{three, three, 9, 0, false},
		{three, three, 0, 0, false},
		{three, one, 9, 0, false},
	} {
		got, more := s.Last(c.after, c.until, c.keep)
		if len(got) != c.want || more != c.more {
			t.Errorf("in (%v, %v] by %d are %v, more: %v; want %d, %v",
				c.after, c.until, c.keep, got, more, c.want, c.more)
		}
	}
}

// The calendar ends with the year 9999, and nothing goes on for ever or overflows beyond.
func TestEndOfTime(t *testing.T) {
	for _, expr := range []string{"* * * * * *", "0 0 29 2 *", "0 */2 29 2 */6", "0 0 29 2 */6", "0 12 1 1 *"} {
		for _, zone := range []string{"UTC", "Europe/Berlin", "Pacific/Apia", "America/New_York"} {
			s, err := cron.Parse(expr, zone)
			if err != nil {
				t.Fatal(err)
			}
			end := at("9999-12-31T23:59:59Z").AddDate(0, 0, 1)
			all, more := s.Last(time.Time{}, end, 1)
			if len(all) != 1 || !more || all[0].Year() > 9999 {
				t.Fatalf("%s in %s: the last tick is %v, more: %v", expr, zone, all, more)
			}
			for _, after := range []time.Time{all[0], end, end.AddDate(300, 0, 0), time.Unix(1<<62, 0)} {
				if tick := s.Next(after); !tick.IsZero() {
					t.Errorf("%s in %s: after %v comes %v", expr, zone, after, tick)
				}
			}
			for _, until := range []time.Time{{}, time.Unix(-1<<62, 0)} {
				if got, more := s.Last(time.Unix(-1<<62, 0), until.AddDate(0, 0, -3), 1); len(got) != 0 || more {
					t.Errorf("%s in %s: before all time there is %v", expr, zone, got)
				}
			}
			if tick := s.Next(time.Unix(-1<<62, 0)); tick.Year() > 40 {
				t.Errorf("%s in %s: the first tick is %v", expr, zone, tick)
			}
		}
	}
}
