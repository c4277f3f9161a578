package configsync

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// Calls that are made at once do not each find room for the last one, and make room again when they come back.
func TestStraysAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var s strays
		var hang atomic.Int32
		over := make(chan struct{})
		do := func() error {
			_, err := call(t.Context(), &s, errand{what: "self-check", limit: selfCheckTime}, func(context.Context) (struct{}, error) {
				hang.Add(1)
				<-over
				return struct{}{}, nil
			}, nil)
			return err
		}
		var all sync.WaitGroup
		for range 3 * maxStrays {
			all.Go(func() {
				if do() == nil {
					t.Error("a call that hangs has come back")
				}
			})
		}
		all.Wait()
		if n := hang.Load(); n != maxStrays {
			t.Errorf("%d calls hang, not %d", n, maxStrays)
		}
		close(over)
		synctest.Wait()
		if err := do(); err != nil {
			t.Errorf("when all have come back: %v", err)
		}
	})
}
