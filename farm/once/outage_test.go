package once

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// However long the farm had no majority, its jobs go on within moments when it has one again.
func TestAfterAnOutage(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		var ran atomic.Int64
		for _, n := range l.nodes {
			err := n.Every("j", Schedule{Cron: "* * * * * *", Zone: "UTC"}, func(context.Context, Tick) error {
				ran.Add(1)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, outage := range []time.Duration{time.Second, time.Minute, time.Hour, 3 * time.Hour} {
			time.Sleep(time.Minute)
			l.change(func() { l.leaderless = true })
			time.Sleep(outage)
			before := ran.Load()
			l.change(func() { l.leaderless = false })
			l.until(5*time.Second, "jobs go on after "+outage.String(), func() bool { return ran.Load() > before })
		}
	})
}
