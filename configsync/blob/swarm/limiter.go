package swarm

import (
	"context"
	"sync"
	"time"
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
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
