package forward

import (
	"context"
	"sync"
)

// counter counts the requests that are running, and those that have come.
type counter struct {
	mu   sync.Mutex
	n    int           // guarded by mu
	came uint64        // guarded by mu
	idle chan struct{} // closed when n falls to 0; nil while nobody waits; guarded by mu
}

func (c *counter) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.came++
}

func (c *counter) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if c.n == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// entered returns how many requests have come.
func (c *counter) entered() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.came
}

// wait returns how many requests are still running when ctx ends, or 0 as soon as none is.
func (c *counter) wait(ctx context.Context) int {
	for {
		c.mu.Lock()
		if c.n == 0 {
			c.mu.Unlock()
			return 0
		}
		if c.idle == nil {
			c.idle = make(chan struct{})
		}
		idle := c.idle
		c.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.n
		}
	}
}
