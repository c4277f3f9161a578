package once

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestLock(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		first := l.lock(a, "x")
		if _, err := b.TryLock(l.t.Context(), "x"); !errors.Is(err, ErrHeld) {
			t.Errorf("TryLock of a lock that is held: %v", err)
		}
		if other := l.lock(b, "y"); other.Unlock() != nil {
			t.Error("another lock is held, too")
		}
		go func() {
			time.Sleep(time.Minute)
			first.Unlock()
		}()
		began := time.Now()
		second, err := b.Lock(l.t.Context(), "x")
		if err != nil || time.Since(began) < time.Minute {
			t.Fatalf("Lock of a lock that is held: %v after %v", err, time.Since(began))
		}
		if first.Context().Err() == nil || second.Context().Err() != nil || second.Fence() <= first.Fence() {
			t.Errorf("contexts %v and %v, fences %d and %d", first.Context().Err(), second.Context().Err(), first.Fence(),
				second.Fence())
		}
		if err := second.Unlock(); err != nil {
			t.Error(err)
		}
		if len(a.Locks()) != 0 {
			t.Errorf("held: %v", a.Locks())
		}
	})
}

// Whoever gives up waiting has no part any more.
func TestLockGivenUp(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		first := l.lock(a, "x")
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		defer cancel()
		if _, err := b.Lock(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		first.Unlock()
		l.until(time.Minute, "nothing is held", func() bool { return len(a.Locks()) == 0 })
	})
}

// The holder's process is killed: the next one has the lock at once.
func TestHolderKilled(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		first := l.lock(l.nodes[0], "x")
		var second *Lease
		var wg sync.WaitGroup
		wg.Go(func() { second = l.lock(l.nodes[1], "x") })
		l.lock(l.nodes[2], "y")
		time.Sleep(time.Minute)
		began := time.Now()
		l.kill(l.nodes[0])
		wg.Wait()
		if took := time.Since(began); took > time.Second || second.Fence() <= first.Fence() {
			t.Errorf("taken over after %v with fence %d after %d", took, second.Fence(), first.Fence())
		}
	})
}

// The holder is cut off: its context ends, and only then the next one has the lock.
func TestHolderCutOff(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		a := l.nodes[0]
		first := l.lock(a, "x")
		var second *Lease
		var wg sync.WaitGroup
		wg.Go(func() { second = l.lock(l.nodes[1], "x") })
		l.lock(l.nodes[2], "y")
		time.Sleep(time.Minute)
		if err := first.Context().Err(); err != nil {
			t.Fatal(err)
		}
		var ended time.Time
		wg.Go(func() { <-first.Context().Done(); ended = time.Now() })
		l.cut(a)
		began := time.Now()
		wg.Wait()
		if took := time.Since(began); took > 4*Patience || context.Cause(first.Context()) != ErrLost || !ended.Before(time.Now()) {
			t.Errorf("taken over after %v; the first context has ended %v before, by %v", took, time.Since(ended),
				context.Cause(first.Context()))
		}
		l.heal(a)
		if err := first.Unlock(); err != ErrLost {
			t.Errorf("Unlock of a lost lease: %v", err)
		}
		if err := second.Context().Err(); err != nil {
			t.Error(err)
		}
		second.Unlock()
		third := l.lock(a, "x") // under another name
		if third.Fence() <= second.Fence() {
			t.Errorf("fence %d after %d", third.Fence(), second.Fence())
		}
	})
}

// A farm without a leader for a second is no reason to lose a lease.
func TestShortOutage(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		lease := l.lock(l.nodes[0], "x")
		for range 100 {
			time.Sleep(time.Duration(l.rng.IntN(1500)) * time.Millisecond)
			for _, n := range l.nodes {
				l.cut(n)
			}
			time.Sleep(1500 * time.Millisecond)
			for _, n := range l.nodes {
				l.heal(n)
			}
			if err := lease.Context().Err(); err != nil {
				t.Fatal(context.Cause(lease.Context()))
			}
			time.Sleep(refreshEvery)
		}
	})
}
