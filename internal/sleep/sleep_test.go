package sleep_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// It waits as long as it is told to, and not longer than the context lasts.
func TestFor(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			d, end, want time.Duration
			whole        bool
		}{
			{d: time.Minute, end: time.Hour, want: time.Minute, whole: true},
			{d: time.Hour, end: time.Minute, want: time.Minute},
			{d: time.Hour},
			{d: -time.Second, end: time.Hour, whole: true},
		} {
			ctx, stop := context.WithTimeout(t.Context(), c.end)
			began := time.Now()
			whole := sleep.For(ctx, c.d)
			if took := time.Since(began); whole != c.whole || took != c.want {
				t.Errorf("%v, when there are %v left, takes %v and is %v", c.d, c.end, took, whole)
			}
			stop()
			synctest.Wait()
		}
	})
}
