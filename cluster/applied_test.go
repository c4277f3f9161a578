package cluster

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

func TestProgressWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var p progress
		stopped := make(chan struct{})
		got := map[uint64]error{}
		var mu sync.Mutex
		look := func() map[uint64]error {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return maps.Clone(got)
		}
		waiting := func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.waiters)
		}
		wait := func(ctx context.Context, index uint64) {
			err := p.wait(ctx, stopped, index)
			mu.Lock()
			defer mu.Unlock()
			got[index] = err
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, i := range []uint64{9, 3, 5, 4} {
			go wait(t.Context(), i)
		}
		go wait(short, 8)
		synctest.Wait()
		p.advance(4)
		p.advance(2) // never back
		if got := look(); len(got) != 2 || got[3] != nil || got[4] != nil || p.load() != 4 {
			t.Fatalf("at 4: woken %v, counter %d", got, p.load())
		}
		time.Sleep(time.Minute)
		if got := look(); !errors.Is(got[8], context.DeadlineExceeded) || waiting() != 2 {
			t.Fatalf("after its deadline: %v, %d waiters left, want 2", got[8], waiting())
		}
		p.advance(7)
		close(stopped)
		if got := look(); got[5] != nil || !errors.Is(got[9], ErrClosed) || waiting() != 0 {
			t.Errorf("in the end: %v, %d waiters", got, waiting())
		}
	})
}

func TestRoundsJoinOnlyWhatHasNotBegun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		begun := 0
		g := rounds[int]{spawn: func(f func()) bool { wg.Go(f); return true }}
		g.do = func() (int, error) {
			begun++
			n := begun
			time.Sleep(time.Second)
			return n, nil
		}
		join := func(want int) {
			wg.Go(func() {
				if n, err := g.join(t.Context()); err != nil || n != want {
					t.Errorf("round %d, %v; want round %d", n, err, want)
				}
			})
		}
		join(1)
		time.Sleep(500 * time.Millisecond)
		for range 10 {
			join(2) // round 1 runs: they share the next one
		}
		time.Sleep(time.Second)
		join(3)
		wg.Wait()
		if begun != 3 {
			t.Errorf("%d rounds, want 3", begun)
		}
	})
}
