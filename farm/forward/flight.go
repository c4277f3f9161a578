package forward

import (
	"context"
	"sync"
)

// flight counts the requests that are running, and those that have come.
type flight struct {
	mu   sync.Mutex
	n    int
	came uint64
	idle chan struct{} // closed when n falls to 0; nil while nobody waits
}

func (f *flight) enter() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	f.came++
}

func (f *flight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	if f.n == 0 && f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
}

// entered returns how many requests have come.
func (f *flight) entered() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.came
}

// wait returns how many requests are still running when ctx ends, or 0 as soon as none is.
func (f *flight) wait(ctx context.Context) int {
	for {
		f.mu.Lock()
		if f.n == 0 {
			f.mu.Unlock()
			return 0
		}
		if f.idle == nil {
			f.idle = make(chan struct{})
		}
		idle := f.idle
		f.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.n
		}
	}
}
