package forward

import (
	"context"
	"sync"
	"sync/atomic"
)

// counter counts the requests that are running, and those that have come.
type counter struct {
	state atomic.Uint64 // how many have come, modulo 1<<32, times 1<<32, and how many are running

	waited atomic.Bool // somebody may wait for idle
	mu     sync.Mutex
	idle   chan struct{} // closed when none is running; nil while nobody waits; guarded by mu
}

func (c *counter) enter() { c.state.Add(1<<32 + 1) }

func (c *counter) leave() {
	if uint32(c.state.Add(^uint64(0))) == 0 && c.waited.Load() {
		c.tell()
	}
}

// tell tells those who wait that none is running, if that is so.
func (c *counter) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running() == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
		c.waited.Store(false)
	}
}

func (c *counter) running() int { return int(uint32(c.state.Load())) }

// entered returns a number that is another one when requests have come.
func (c *counter) entered() uint32 { return uint32(c.state.Load() >> 32) }

// wait returns how many requests are still running when ctx ends, or 0 as soon as none is.
func (c *counter) wait(ctx context.Context) int {
	for c.running() > 0 {
		c.mu.Lock()
		if c.idle == nil {
			c.idle = make(chan struct{})
		}
		idle := c.idle
		c.waited.Store(true)
		c.mu.Unlock()
		if c.running() == 0 { // the last one may have left before it could see that somebody waits
			break
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return c.running()
		}
	}
	return 0
}
