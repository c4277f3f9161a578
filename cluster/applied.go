package cluster

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
)

// progress is this node's own applied counter, with waiters. (raft's AppliedIndex counts entries that were
// merely handed to the state machine.) It only rises.
type progress struct {
	index   atomic.Uint64
	mu      sync.Mutex
	waiters waiterHeap
	ended   error // why it rises no more, nil if it does
}

type waiter struct {
	index uint64
	done  chan struct{}
	at    int // position in the heap, -1 once out of it
}

func (p *progress) load() uint64 { return p.index.Load() }

// advance sets the counter and wakes those who waited for it.
func (p *progress) advance(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if index <= p.index.Load() {
		return
	}
	p.index.Store(index)
	for len(p.waiters) > 0 && p.waiters[0].index <= index {
		close(heap.Pop(&p.waiters).(*waiter).done)
	}
}

// reset begins anew at 0, for another farm's log. Those who wait go on waiting.
func (p *progress) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index.Store(0)
}

// end says that the counter rises no more, and why.
func (p *progress) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = err
	for len(p.waiters) > 0 {
		close(heap.Pop(&p.waiters).(*waiter).done)
	}
}

// failure returns why the counter rises no more, nil if it does.
func (p *progress) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// wait returns nil when index was applied. Else it returns ErrClosed if stopped was closed before, the reason
// if index never will be applied, or the context's error.
func (p *progress) wait(ctx context.Context, stopped <-chan struct{}, index uint64) error {
	if p.index.Load() >= index {
		return nil
	}
	w := p.enqueue(index)
	if w == nil {
		return p.reached(index)
	}
	select {
	case <-w.done:
		return p.reached(index)
	case <-ctx.Done():
		p.remove(w)
		return ctx.Err()
	case <-stopped:
		p.remove(w)
		return ErrClosed
	}
}

func (p *progress) reached(index uint64) error {
	if p.index.Load() >= index {
		return nil
	}
	return p.failure()
}

func (p *progress) enqueue(index uint64) *waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.index.Load() >= index || p.ended != nil {
		return nil
	}
	w := &waiter{index: index, done: make(chan struct{})}
	heap.Push(&p.waiters, w)
	return w
}

func (p *progress) remove(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.at >= 0 {
		heap.Remove(&p.waiters, w.at)
	}
}

type waiterHeap []*waiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].index < h[j].index }
func (h waiterHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *waiterHeap) Push(x any)        { w := x.(*waiter); w.at = len(*h); *h = append(*h, w) }
func (h *waiterHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	*h = old[:len(old)-1]
	w.at = -1
	return w
}
