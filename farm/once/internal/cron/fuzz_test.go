package cron_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/cron"
)

// Any text is a schedule that has ticks, or an error that can be read. The text of a schedule means the same
// schedule.
func FuzzParse(f *testing.F) {
	for _, expr := range []string{"*/5 8-17 * * MON-FRI", "0 30 2 29 2 *",
		"@daily", "0 0 13 * 5", "0 0 30 2 *"} {
		f.Add(expr, "Europe/Berlin", int64(1_774_742_400))
	}
	f.Fuzz(func(t *testing.T, expr, zone string, from int64) {
		s, err := cron.Parse(expr, zone)
		if err != nil {
			text := err.Error()
			if text == "" || len(text) > 1000 || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\n") {
				t.Errorf("the error is %q", text)
			}
			return
		}
		again, err := cron.Parse(strings.TrimSuffix(s.String(), " "+zone), zone)
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q is %q, and that is %q: %v", expr, s, again, err)
		}
		after := time.Unix(from, 0)
		tick := s.Next(after)
		if tick.IsZero() {
			if after.Year() >= 0 && after.Year() < 9900 {
				t.Fatalf("%q in %s: nothing after %v", expr, zone, after)
			}
			return
		}
		last, more := s.Last(after, tick, 2)
		if !tick.After(after) || !tick.Equal(again.Next(after)) || more || len(last) != 1 || !last[0].Equal(tick) {
			t.Errorf("%q in %s: after %v comes %v, and Last says %v", expr, zone, after, tick, last)
		}
	})
}
