package lane

import (
	"context"
	"time"
)

// watchEvery is how often a Client looks for exchanges that have lasted for a while. To have a context tell of its end
// costs six allocations, and most exchanges are over before it could matter. So one over a lane is told of it from the
// second look on.
const watchEvery = 20 * time.Millisecond

// watch has the end of the request's context mean something: see contextEnded.
func (x *call) watch() {
	if x.lane == nil || x.r.Context().Err() != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.watchLocked()
		return
	}
	x.lane.call.Store(x)
	x.client.watchSoon()
}

func (x *call) watchLocked() {
	if !x.ended && x.unwatch == nil {
		x.unwatch = context.AfterFunc(x.r.Context(), x.contextEnded)
	}
}

// look is called at each look for exchanges.
func (x *call) look() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.looked {
		x.watchLocked()
	}
	x.looked = true
}

// watchSoon has the lanes looked at while exchanges are under way.
func (c *Client) watchSoon() {
	if !c.watching.Load() && c.watching.CompareAndSwap(false, true) {
		time.AfterFunc(watchEvery, c.watchLanes)
	}
}

func (c *Client) watchLanes() {
	c.mu.Lock()
	for l := range c.lanes {
		if x := l.call.Load(); x != nil {
			x.look()
		}
	}
	c.mu.Unlock()
	if c.running.Load() > 0 {
		time.AfterFunc(watchEvery, c.watchLanes)
		return
	}
	c.watching.Store(false)
	if c.running.Load() > 0 { // it began meanwhile
		c.watchSoon()
	}
}
