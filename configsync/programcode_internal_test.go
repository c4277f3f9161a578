package configsync

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// TestStraysThatComeBack: who finds as many calls under way as may be waits for one of them, as long as one still has
// time. Only when all are late is the code not called again, and that is no fault of what was to be looked at.
func TestStraysThatComeBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var s strays
		do := func(takes time.Duration) error {
			_, err := call(t.Context(), &s, errand{what: "check", limit: codeTime}, func(context.Context) (struct{}, error) {
				time.Sleep(takes)
				return struct{}{}, nil
			}, nil)
			return err
		}
		var all sync.WaitGroup
		for range 3 * maxStrays {
			all.Go(func() {
				if err := do(codeTime / 4); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for range maxStrays {
			all.Go(func() {
				if err := do(2 * codeTime); err == nil || errors.Is(err, ErrOverloaded) {
					t.Errorf("a call that is late: %v", err)
				}
			})
		}
		synctest.Wait()
		before := time.Now()
		if err := do(0); !errors.Is(err, ErrOverloaded) || time.Since(before) != codeTime {
			t.Errorf("with all late, after %v: %v", time.Since(before), err)
		}
		before = time.Now()
		if err := do(0); !errors.Is(err, ErrOverloaded) || time.Since(before) != 0 {
			t.Errorf("with all late, after %v: %v", time.Since(before), err)
		}
		all.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(codeTime)
		for range maxStrays {
			all.Go(func() { do(codeTime / 2) })
		}
		synctest.Wait()
		_, err := call(ctx, &s, errand{what: "check", limit: codeTime}, func(context.Context) (int, error) { return 1, nil }, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("who does not wait any more: %v", err)
		}
		all.Wait()
	})
}
