package once

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Close waits no longer than its context, for the functions as for the farm.
func TestCloseWithinItsContext(t *testing.T) {
	for _, limit := range []time.Duration{0, 100 * time.Millisecond, time.Second} {
		inLab(t, 2, func(l *lab) {
			n := l.nodes[0]
			l.lock(n, "x")
			if err := n.Every("j", Schedule{Cron: "* * * * * *", Zone: "UTC"}, func(context.Context, Tick) error {
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			l.cut(n) // nobody answers its last words
			ctx, cancel := context.WithTimeout(l.t.Context(), limit)
			defer cancel()
			began := time.Now()
			if err := n.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if took := time.Since(began); took > limit+10*time.Millisecond {
				t.Errorf("within %v: it took %v", limit, took)
			}
		})
	}
}
