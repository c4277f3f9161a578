package cron_test

import (
	"testing"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/cron"
)

func BenchmarkNext(b *testing.B) {
	for _, expr := range []string{"* * * * * *", "30 2 * * *", "0 */2 29 2 */6"} {
		b.Run(expr, func(b *testing.B) {
			s, err := cron.Parse(expr, "Europe/Berlin")
			if err != nil {
				b.Fatal(err)
			}
			from := at("2026-03-29T00:30:00Z")
			for b.Loop() {
				s.Next(from)
			}
		})
	}
}

// The newest hundred of a year.
func BenchmarkLast(b *testing.B) {
	for _, expr := range []string{"* * * * * *", "30 2 * * *"} {
		b.Run(expr, func(b *testing.B) {
			s, err := cron.Parse(expr, "Europe/Berlin")
			if err != nil {
				b.Fatal(err)
			}
			until := at("2026-03-29T00:30:00Z")
			for b.Loop() {
				s.Last(until.AddDate(-1, 0, 0), until, 100)
			}
		})
	}
}
