package forward

import (
	"context"
	"sync"
	"time"
)

// flight counts the requests that are running, and remembers when the last one came.
type flight struct {
	mu   sync.Mutex
	n    int
	last time.Time
	idle chan struct{} // closed when n falls to 0; nil while nobody waits
}

func (f *flight) enter() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	f.last = time.Now()
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

// quiet returns for how long no request has come.
func (f *flight) quiet() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.last)
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
