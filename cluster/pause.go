package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// backoff is the pause between attempts: short at first, since a new leader is found within a second.
type backoff struct{ d time.Duration }

func (b *backoff) wait(ctx context.Context) bool { return b.waitFor(ctx, nil) }

// waitFor ends early, and begins anew with a short pause, when news is closed.
func (b *backoff) waitFor(ctx context.Context, news <-chan struct{}) bool {
	b.d = min(max(2*b.d, 2*time.Millisecond), 100*time.Millisecond)
	t := time.NewTimer(b.d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-news:
		b.d = 0
		return sleep.For(ctx, time.Millisecond) // it may be closed because its instance has ended
	case <-ctx.Done():
		return false
	}
}

// waited waits for wg, but not for ever, and reports whether it ended.
func waited(wg *sync.WaitGroup, patience time.Duration) bool {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
