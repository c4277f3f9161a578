package cron_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/cron"
)

// What is written in different ways, and means the same.
func TestParse_Same(t *testing.T) {
	for _, same := range [][]string{
		{"0 * * * *", "@hourly", "0 0 * * * *", " 0\t* *  * * ", "00 * * * *",
			"0 */1 * * *", "0 0-23 * * *", "@HOURLY"},
		{"0 0 * * *", "@daily", "0 0 */1 * *"},
		{"0 0 * * 0", "@weekly", "0 0 * * 7", "0 0 * * SUN", "0 0 * * sun", "0 0 * * 0,7"},
		{"0 0 1 * *", "@monthly"},
		{"0 0 1 1 *", "@yearly", "0 0 1 JAN *", "0 0 1 jan *"},
		{"*/15 * * * *", "0,15,30,45 * * * *", "0-59/15 * * * *", "45,30,15,0,0 * * * *", "0-30/15,45 * * * *"},
		{"0 9 * * 1-5", "0 9 * * MON-FRI", "0 9 * * mon,tue,wed-fri", "0 9 * * Mon-5"},
		{"0 9 * * 5-7", "0 9 * * FRI-SUN", "0 9 * * 5,6,0", "0 9 * * SUN,FRI-SAT"},
		{"0 9 * * 2,4,6,7", "0 9 * * 0-6/2", "0 9 * * 0-7/2,7", "0 9 * * SUN-SAT/2"},
		{"0 9 * 3-11/4 *", "0 9 * MAR-NOV/4 *", "0 9 * 3,7,11 *"},
	} {
		for _, expr := range same[1:] {
			got, want := ticks(t, expr, "UTC"), ticks(t, same[0], "UTC")
			if got != want {
				t.Errorf("%s has the ticks\n%s\nand not those of %s\n%s", expr, got, same[0], want)
			}
		}
	}
}

// A day needs to fit one of the two fields about days if both are restricted, and else both.
func TestParse_Days(t *testing.T) {
	for expr, want := range map[string]string{
		"0 0 13 * FRI":    "02 09 13 16 23 30",
		"0 0 13 * *":      "13",
		"0 0 * * FRI":     "02 09 16 23 30",
		"0 0 */10 * FRI":  "",                     // 1, 11, 21 and 31 January 2026 are no Fridays
		"0 0 1-9 * */5":   "02 04 09",             // Sundays and Fridays of these days: there is a * in the field
		"0 0 1-31 * FRI":  everyDay,               // no *, so both count as restricted
		"0 0 13 * 0-6":    everyDay,               // the same
		"0 0 5,*/9 * 1":   "05 19",                // a list with a * is not restricted
		"0 0 31 * 3":      "07 14 21 28 31",       // both
		"0 0 L * *":       "error",                //
		"0 0 30,31 2 *":   "error",                //
		"0 0 29 2 *":      "",                     // in 2028
		"0 0 30 2 MON":    "",                     // Mondays of February
		"0 0 10-20/4 * 1": "05 10 12 14 18 19 26", //
	} {
		s, err := cron.Parse(expr, "UTC")
		got := "error"
		if err == nil {
			var days []string
			all, _ := s.Last(at("2025-12-31T23:59:59Z"), at("2026-01-31T23:59:59Z"), 40)
			for _, tick := range all {
				days = append(days, tick.Format("02"))
			}
			got = strings.Join(days, " ")
		}
		if got != want {
			t.Errorf("%s is due on the days %q of January 2026, want %q (%v)", expr, got, want, err)
		}
	}
}

const everyDay = "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 " +
	"17 18 19 20 21 22 23 24 25 26 27 28 29 30 31"

// An error names the field, what is wrong, and what is allowed.
func TestParse_Errors(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{"", "has 0 fields, and needs 5"},
		{" \t ", "has 0 fields, and needs 5"},
		{"* * * *", "has 4 fields"},
		{"* * * * * * *", "has 7 fields"},
		{"0 0 1 1 * 2024", `day of week "2024"`},
		{"@every 5m", "@hourly, @daily, @weekly, @monthly and @yearly"},
		{"@reboot", "@hourly, @daily"},
		{"@daily *", "@hourly, @daily"},
		{"@", "@hourly, @daily"},
		{"60 * * * *", `minute "60": 60 is not in 0-59; allowed are 0-59`},
		{"60 0 * * * *", `second "60": 60 is not in 0-59`},
		{"* 24 * * *", `hour "24": 24 is not in 0-23; allowed are 0-23`},
		{"* * 0 * *", `day of month "0": 0 is not in 1-31; allowed are 1-31`},
		{"* * 32 * *", `day of month "32"`},
		{"* * * 0 *", `month "0": 0 is not in 1-12; allowed are 1-12 or JAN-DEC`},
		{"* * * 13 *", `month "13"`},
		{"* * * * 8", `day of week "8": 8 is not in 0-7; allowed are 0-7 (0 and 7 are Sunday) or SUN-SAT`},
		{"20-10 * * * *", `minute "20-10": the range "20-10" runs backwards`},
		{"* 22-2 * * *", `hour "22-2": the range "22-2" runs backwards: write two, with a comma`},
		{"* * * * FRI-MON", `the range "FRI-MON" runs backwards`},
		{"* * * * 5-0", `the range "5-0" runs backwards`},
		{"* * * NOV-FEB *", `month "NOV-FEB"`},
		{"*/0 * * * *", `minute "*/0": the step "0" is not in 1-59`},
		{"*/60 * * * *", `the step "60" is not in 1-59`},
		{"*/99999999999999999999 * * * *", `the step "99999999999999999999" is not in 1-59`},
		{"* */24 * * *", `the step "24" is not in 1-23`},
		{"* * * * */7", `the step "7" is not in 1-6`},
		{"10-20/15 * * * *", `the step "15" is not in 1-10`},
		{"*/-1 * * * *", `the step "-1"`},
		{"*/ * * * *", `the step ""`},
		{"*/2/3 * * * *", `the step "2/3"`},
		{"5/10 * * * *", `the step of "5/10" needs a range, as 5-59/n`},
		{"/5 * * * *", "something is missing"},
		{"1, * * * *", `minute "1,": something is missing`},
		{",1 * * * *", "something is missing"},
		{", * * * *", "something is missing"},
		{"- * * * *", "something is missing"},
		{"1- * * * *", "something is missing"},
		{"-1 * * * *", "something is missing"},
		{"1-2-3 * * * *", `"2-3" is no number`},
		{"*-5 * * * *", `"*" is no number`},
		{"*5 * * * *", `"*5" is no number`},
		{"** * * * *", `"**" is no number`},
		{"+5 * * * *", `"+5" is no number`},
		{"005 * * * *", `"005" is no number of one or two digits`},
		{"1.5 * * * *", `"1.5" is no number`},
		{"MON * * * *", `minute "MON"`},
		{"* * * MON *", `month "MON": "MON" is no number of one or two digits and no name`},
		{"* * * * JAN", `day of week "JAN"`},
		{"* * * * MONDAY", `"MONDAY" is no number`},
		{"* * JANFEB * *", `day of month "JANFEB"`},
		{"* * ? * *", `day of month "?": "?" is not supported, nor is anything with ?, L, W or #`},
		{"* * L * *", `"L" is not supported`},
		{"* * 15W * *", `"15W" is not supported`},
		{"* * * * 1#2", `"1#2" is not supported`},
		{"* * * * 5L", `"5L" is not supported`},
		{"\x00 * * * *", `minute "\x00": "\x00" is no number`},
		{"0\n0 * * *", "has 4 fields"},
		{"0\u00a0* * * *", "has 4 fields"},
		{"٣ * * * *", "is no number"},
		{"\xff * * * *", `minute "\xff"`},
		{"CRON_TZ=UTC * * * * *", `second "CRON_TZ=UTC"`},
		{"0 0 30 2 *", `never due: no year has a day that fits day of month "30", month "2" and day of week "*"`},
		{"0 0 31 2,4,6,9,11 *", "never due"},
		{"0 0 30 FEB */2", "never due"},
		{strings.Repeat("1,", 5000) + "1 * * * *", "it has 10009 bytes, and at most 1000 are allowed"},
		{strings.Repeat("9", 900) + " * * * *", `minute "9999999999999999999999999999999999999999"...:`},
	} {
		s, err := cron.Parse(c.expr, "UTC")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.50q: %v, want an error with %s", c.expr, err, c.want)
		} else if !strings.HasPrefix(err.Error(), "schedule \"") || len(err.Error()) > 400 || s.String() != "" {
			t.Errorf("%.50q: %v, and the schedule %q", c.expr, err, s)
		}
	}
}

// The zone is named, and by a name that means the same on every node.
func TestParse_Zones(t *testing.T) {
	for _, zone := range []string{"UTC", "Etc/UTC", "Europe/Berlin", "Etc/GMT+5",
		"America/Argentina/Buenos_Aires",
		"America/Port-au-Prince", "GMT0", "EST5EDT"} {
		s, err := cron.Parse("@daily", zone)
		if err != nil {
			t.Errorf("%s: %v", zone, err)
		} else if got, want := s.String(), "0 0 * * * "+zone; got != want {
			t.Errorf("the schedule is %q, want %q", got, want)
		} else if got := s.Next(at("2026-01-01T00:00:00Z")).Location().String(); got != zone {
			t.Errorf("a tick is in the zone %q, want %q", got, zone)
		}
	}
	for zone, want := range map[string]string{
		"":                      `the time zone is missing: write one, as "UTC" or "Europe/Berlin"`,
		"Local":                 `the time zone "Local" may differ from node to node`,
		"local":                 "is no name of the tz database",
		"localtime":             "is no name of the tz database",
		"posixrules":            "is no name of the tz database",
		"right/Europe/Berlin":   "is no name of the tz database",
		"../Europe/Berlin":      "is no name of the tz database",
		"Europe/../Berlin":      "is no name of the tz database",
		"Europe//Berlin":        "is no name of the tz database",
		"/etc/localtime":        "is no name of the tz database",
		"Europe/Berlin\x00":     "is no name of the tz database",
		"Europe/Berlin\n":       "is no name of the tz database",
		"+02:00":                "is no name of the tz database",
		"Европа/Берлин":         "is no name of the tz database",
		strings.Repeat("Z", 99): "is no name of the tz database",
		"Europe/Atlantis":       `is not in the tz database of this machine`,
		"Europe":                `install tzdata, or import _ "time/tzdata" in package main`,
	} {
		if _, err := cron.Parse("@daily", zone); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %s", zone, err, want)
		}
	}
}

// The zero value has no ticks.
func TestSchedule_Zero(t *testing.T) {
	var s cron.Schedule
	ticks, more := s.Last(time.Time{}, at("2026-01-01T00:00:00Z"), 9)
	if next := s.Next(time.Time{}); !next.IsZero() || ticks != nil || more || s.String() != "" {
		t.Errorf("the zero value has the ticks %v and %v", next, ticks)
	}
}

// ticks returns some ticks of a schedule, as text.
func ticks(t *testing.T, expr, zone string) string {
	t.Helper()
	s, err := cron.Parse(expr, zone)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	tick := at("2026-01-01T00:00:00Z")
	for range 100 {
		tick = s.Next(tick)
		fmt.Fprintln(&b, tick)
	}
	return b.String()
}

// at reads a moment.
func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}
