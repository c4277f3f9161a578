package swarm

import (
	"context"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// limiter spreads bytes over time. nil lets everything through.
type limiter struct {
	rate float64 // bytes a second
	mu   sync.Mutex
	free time.Time // when what was let through until now is paid for; guarded by mu
}

// burst is how much may come at once after a pause, in time.
const burst = 100 * time.Millisecond

func newLimiter(bytesPerSecond int64) *limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return &limiter{rate: float64(bytesPerSecond)}
}

// wait returns when n bytes may pass, or with the error of ctx.
func (l *limiter) wait(ctx context.Context, n int) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-burst); l.free.Before(earliest) {
		l.free = earliest
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	d := l.free.Sub(now)
	l.mu.Unlock()
	if d <= 0 {
		return nil
	}
	if !sleep.For(ctx, d) {
		return context.Cause(ctx)
	}
	return nil
}
