package session

import (
	"context"
	"sync"
	"sync/atomic"
)

// order is a mutex that can also be waited for with a context. Without contention it costs what a mutex costs.
type order struct {
	held    atomic.Bool
	waiting atomic.Bool // somebody may wait for freed

	mu    sync.Mutex
	freed chan struct{} // closed by the next Unlock; nil while nobody waits
}

// lock is Lock, unless ctx ends first.
func (o *order) lock(ctx context.Context) error {
	for !o.held.CompareAndSwap(false, true) {
		o.mu.Lock()
		if o.freed == nil {
			o.freed = make(chan struct{})
		}
		freed := o.freed
		o.waiting.Store(true)
		o.mu.Unlock()
		if o.held.CompareAndSwap(false, true) { // it was freed before anybody could see that somebody waits
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Lock waits as long as it takes.
func (o *order) Lock() { o.lock(context.Background()) }

// Unlock has those who wait try again.
func (o *order) Unlock() {
	o.held.Store(false)
	if !o.waiting.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting.Store(false)
	if o.freed != nil {
		close(o.freed)
		o.freed = nil
	}
}
