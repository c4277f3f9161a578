package cron_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/cron"
)

// model is a schedule as plain lists, with no cleverness: it looks at every second of a window.
type model struct {
	expr                              string
	second, minute, hour              []int
	day, month, weekday               []int
	dayStar, weekdayStar, elapsedTime bool
}

func (m model) shows(reading time.Time) bool {
	day := slices.Contains(m.day, reading.Day())
	weekday := slices.Contains(m.weekday, int(reading.Weekday()))
	fits := day && weekday || (day || weekday) && !m.dayStar && !m.weekdayStar
	return fits && slices.Contains(m.month, int(reading.Month())) && slices.Contains(m.hour, reading.Hour()) &&
		slices.Contains(m.minute, reading.Minute()) && slices.Contains(m.second, reading.Second())
}

// ticks goes from moment to moment, by step, and asks the clock of the zone.
func (m model) ticks(zone *time.Location, from, to time.Time, step time.Duration) (ticks []time.Time) {
	var latest time.Time // what the clock has shown up to now
	for t := from.Add(-72 * time.Hour); !t.After(to); t = t.Add(step) {
		_, offset := t.In(zone).Zone()
		reading := t.UTC().Add(time.Duration(offset) * time.Second)
		due := false
		if m.elapsedTime {
			due = m.shows(reading)
		} else if latest.IsZero() {
			latest = reading
		} else {
			for latest.Before(reading) {
				latest = latest.Add(step)
				due = m.shows(latest) || due
			}
		}
		if due && t.After(from) {
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// pick makes one field: its text, and the numbers that it is.
func pick(r *rand.Rand, low, top int) (text string, numbers []int) {
	all := func(a, b, by int) {
		for i := a; i <= b; i += by {
			numbers = append(numbers, i)
		}
	}
	switch r.IntN(5) {
	case 0:
		all(low, top, 1)
		return "*", numbers
	case 1:
		by := 1 + r.IntN(top-low)
		all(low, top, by)
		return "*/" + strconv.Itoa(by), numbers
	}
	var items []string
	for range 1 + r.IntN(3) {
		a := low + r.IntN(top-low+1)
		b := a + r.IntN(top-a+1)
		switch by := 1 + r.IntN(max(b-a, 1)); r.IntN(4) {
		case 0:
			all(a, b, 1)
			items = append(items, fmt.Sprintf("%d-%d", a, b))
		case 1:
			all(a, b, by)
			items = append(items, fmt.Sprintf("%d-%d/%d", a, b, by))
		default:
			all(a, a, 1)
			items = append(items, strconv.Itoa(a))
		}
	}
	return strings.Join(items, ","), numbers
}

func randomModel(r *rand.Rand, withSeconds bool) (m model) {
	texts := make([]string, 6)
	texts[0], m.second = "0", []int{0}
	if withSeconds {
		texts[0], m.second = pick(r, 0, 59)
	}
	texts[1], m.minute = pick(r, 0, 59)
	texts[2], m.hour = pick(r, 0, 23)
	texts[3], m.day = pick(r, 1, 31)
	texts[4], m.month = "*", []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	texts[5], m.weekday = pick(r, 0, 6)
	if r.IntN(2) == 0 { // most clocks are changed in these days, so that the hour matters
		texts[3], m.day = "*", nil
		for i := 1; i <= 31; i++ {
			m.day = append(m.day, i)
		}
	}
	m.dayStar, m.weekdayStar = strings.Contains(texts[3], "*"), strings.Contains(texts[5], "*")
	hours := slices.Clone(m.hour)
	slices.Sort(hours)
	m.elapsedTime = strings.ContainsAny(texts[2], "*/") || len(slices.Compact(hours)) == 24
	if !withSeconds {
		texts = texts[1:]
	}
	m.expr = strings.Join(texts, " ")
	return m
}

var modelZones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana",
	"Africa/Cairo", "Asia/Beirut", "Pacific/Apia", "Antarctica/Troll", "Africa/Casablanca", "Asia/Kathmandu",
	"America/St_Johns", "Pacific/Kwajalein", "Europe/Dublin", "Asia/Gaza", "Pacific/Chatham"}

// change returns a moment at which the clocks of zone change, or any moment where they do not.
func change(r *rand.Rand, zone *time.Location) time.Time {
	t := time.Unix(r.Int64N(3_500_000_000), 0).Truncate(time.Minute) // 1970 to 2080
	if _, end := t.In(zone).ZoneBounds(); !end.IsZero() && r.IntN(10) > 0 {
		return end
	}
	return t
}

// Schedules at random, about changes of clocks, have the ticks that a look at every moment finds: by Next
// from any moment, and by Last from any moment and with any number to keep.
func TestModel(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	found := 0
	for i := range 200 {
		withSeconds := i%20 == 0
		m := randomModel(r, withSeconds)
		name := modelZones[r.IntN(len(modelZones))]
		s, err := cron.Parse(m.expr, name)
		if err != nil {
			t.Fatalf("seed %d, schedule %d: %v", seed, i, err)
		}
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		step, width := time.Minute, 26*time.Hour
		if withSeconds {
			step, width = time.Second, time.Hour
		}
		from := change(r, zone).Add(-width)
		if from.Second() != 0 {
			continue // a clock of old was off by odd seconds, and the model goes by minutes
		}
		to := from.Add(2 * width)
		want := m.ticks(zone, from, to, step)
		found += len(want)
		where := fmt.Sprintf("seed %d, schedule %d: %s in %s from %v", seed, i, m.expr, name, from.In(zone))
		compare(t, r, where, s, from, to, want)
		if t.Failed() {
			return
		}
	}
	if found < 1000 {
		t.Errorf("there were only %d ticks", found)
	}
}

func compare(t *testing.T, r *rand.Rand, where string, s cron.Schedule,
	from, to time.Time, want []time.Time) {
	t.Helper()
	var next []time.Time
	last := from
	for tick := s.Next(from); !tick.IsZero() && !tick.After(to); tick = s.Next(tick) {
		if !tick.After(last) {
			t.Fatalf("%s: after %v comes %v", where, last, tick)
		}
		last = tick
		next = append(next, tick)
	}
	if !slices.EqualFunc(next, want, time.Time.Equal) {
		t.Fatalf("%s: Next finds\n%v, want\n%v", where, next, want)
	}
	for range 5 {
		a := from.Add(time.Duration(r.Int64N(int64(to.Sub(from)))))
		b := a.Add(time.Duration(r.Int64N(int64(to.Sub(a)))))
		var in []time.Time
		for _, tick := range want {
			if tick.After(a) && !tick.After(b) {
				in = append(in, tick)
			}
		}
		keep := r.IntN(len(in) + 3)
		more := len(in) > keep
		if more {
			in = in[len(in)-keep:]
		}
		got, gotMore := s.Last(a, b, keep)
		if !slices.EqualFunc(got, in, time.Time.Equal) || gotMore != more {
			t.Fatalf("%s: in (%v, %v] the last %d are\n%v, more: %v; want\n%v", where, a, b, keep, got, gotMore, in)
		}
	}
	for a := from; a.Before(to); a = a.Add(to.Sub(from) / 300) { // also when a clock repeats itself
		i, _ := slices.BinarySearchFunc(want, a.Add(1), time.Time.Compare)
		if tick := s.Next(a); i < len(want) && !tick.Equal(want[i]) {
			t.Fatalf("%s: after %v comes %v, want %v", where, a, tick, want[i])
		}
		if got, _ := s.Last(from, a, 1); i > 0 && (len(got) != 1 || !got[0].Equal(want[i-1])) {
			t.Fatalf("%s: the last one until %v is %v, want %v", where, a, got, want[i-1])
		}
	}
}

// Over years, the ticks that Next finds are those that Last finds, also where they are far apart.
func TestNextAndLast(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	for i := range 300 {
		m := randomModel(r, i%2 == 0)
		zone := modelZones[r.IntN(len(modelZones))]
		s, err := cron.Parse(m.expr, zone)
		if err != nil {
			t.Fatal(err)
		}
		from := time.Unix(r.Int64N(100_000_000_000), r.Int64N(1e9)) // to the year 5138
		tick, want := from, []time.Time(nil)
		for range 50 {
			next := s.Next(tick)
			if !next.After(tick) {
				t.Fatalf("%s in %s: after %v comes %v", m.expr, zone, tick, next)
			}
			tick = next
			want = append(want, tick)
		}
		got, more := s.Last(from, tick, 50)
		if !slices.Equal(got, want) || more {
			t.Fatalf("%s in %s from %v: Next finds\n%v, and Last\n%v, more: %v", m.expr, zone, from, want, got, more)
		}
	}
}
