package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// locker is a client that has locks, too.
type locker interface {
	// Holder returns how the i-th goroutine of this worker locks. Those that want the same lock at the same time are
	// each another one, if they contend; else they may share what the system has for it. A holder whose process is
	// gone loses its locks: as soon as the system can do that, if quick.
	Holder(i int, contends, quick bool) (lockFunc, error)
}

// lockFunc returns when it has the lock.
type lockFunc func(ctx context.Context, name string) (unlock func(context.Context) error, err error)

// span is one time that a lock was held, in Unix ns.
type span struct{ Asked, Locked, Unlocked int64 }

// lock has goroutines that take locks and give them back, and reports how long both took together, for those that
// ended after the warm-up and before the end.
func lock(c client, o order) (r report) {
	begin := time.Now().Add(o.Warm)
	end := begin.Add(o.For)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range o.Writers {
		name := o.Name
		if name == "" {
			name = fmt.Sprintf("own-%d", o.First+i)
		}
		h, err := c.(locker).Holder(i, o.Name != "", false)
		if err != nil {
			return report{Err: err.Error()}
		}
		wg.Go(func() {
			mine := lockUntil(h, name, o.Hold, begin, end)
			mu.Lock()
			defer mu.Unlock()
			r.Latency.merge(mine.Latency)
			r.Acked += mine.Acked
			r.Spans = append(r.Spans, mine.Spans...)
			if r.Failed += mine.Failed; mine.Why != "" {
				r.Why = mine.Why
			}
		})
	}
	wg.Wait()
	return r
}

func lockUntil(h lockFunc, name string, hold time.Duration, begin, end time.Time) (r report) {
	for {
		start := time.Now()
		s, err := lockOnce(h, name, hold)
		now := time.Now()
		if now.After(end) {
			return r
		}
		if err != nil {
			r.Failed++
			r.Why = err.Error()
			continue
		}
		if r.Acked++; now.After(begin) {
			r.Latency.add(now.Sub(start) - hold)
			if hold > 0 {
				r.Spans = append(r.Spans, s)
			}
		}
	}
}

func lockOnce(h lockFunc, name string, hold time.Duration) (s span, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	s.Asked = time.Now().UnixNano()
	unlock, err := h(ctx, name)
	if err != nil {
		return s, err
	}
	s.Locked = time.Now().UnixNano()
	time.Sleep(hold)
	s.Unlocked = time.Now().UnixNano()
	return s, unlock(ctx)
}

const lockPatience = time.Minute // for a lock that others hold

// take takes a lock, and keeps it if it is to be held for ever.
func take(c client, o order) (r report) {
	h, err := c.(locker).Holder(0, true, true)
	if err != nil {
		return report{Err: err.Error()}
	}
	if o.Hold >= 0 {
		s, err := lockOnce(h, o.Name, o.Hold)
		if err != nil {
			return report{Err: err.Error()}
		}
		return report{Spans: []span{s}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	if _, err := h(ctx, o.Name); err != nil {
		return report{Err: err.Error()}
	}
	return report{}
}
