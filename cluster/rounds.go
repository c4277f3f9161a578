package cluster

import (
	"context"
	"sync"
)

// rounds lets concurrent callers share one execution of do. A caller joins only a round that has not begun,
// so what do finds out is always newer than the call.
type rounds[T any] struct {
	do      func() (T, error)
	spawn   func(func()) bool // starts a goroutine; false if there will be no more
	pause   func()            // before each round begins; nil = none
	mu      sync.Mutex
	next    *round[T] // not begun; nil if nobody waits
	running bool
}

type round[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// join waits for the next round.
func (g *rounds[T]) join(ctx context.Context) (T, error) {
	g.mu.Lock()
	r := g.next
	if r == nil {
		r = &round[T]{done: make(chan struct{})}
		g.next = r
	}
	begin := !g.running
	g.running = true
	g.mu.Unlock()
	if begin && !g.spawn(g.run) {
		g.run()
	}
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

func (g *rounds[T]) run() {
	for {
		if g.pause != nil {
			g.pause()
		}
		g.mu.Lock()
		r := g.next
		g.next = nil
		if r == nil {
			g.running = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		r.value, r.err = g.do()
		close(r.done)
	}
}
