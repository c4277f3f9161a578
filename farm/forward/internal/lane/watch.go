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

// look is called at each look for exchanges. It reports whether the exchange has to be looked at again.
func (x *call) look() (again bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.looked {
		x.watchLocked()
	}
	x.looked = true
	return x.freshLocked()
}

// freshLocked reports whether the exchange is under way, and is not told yet of the end of its context.
func (x *call) freshLocked() bool { return !x.ended && x.unwatch == nil }

// fresh is freshLocked.
func (x *call) fresh() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.freshLocked()
}

// watchSoon has the lanes looked at as long as there are exchanges that are not told of their ends yet.
func (c *Client) watchSoon() {
	if !c.watching.Load() && c.watching.CompareAndSwap(false, true) {
		time.AfterFunc(watchEvery, c.watchLanes)
	}
}

// watchLanes looks at the lanes, and goes on for as long as it is of use: nothing wakes the processor for exchanges
// that are told of their ends, however long they last.
func (c *Client) watchLanes() {
	if c.anyCall((*call).look) {
		time.AfterFunc(watchEvery, c.watchLanes)
		return
	}
	c.watching.Store(false)
	if c.anyCall((*call).fresh) { // it began meanwhile
		c.watchSoon()
	}
}

// anyCall reports whether f, which is called for the exchange of each lane, has reported true for one of them.
func (c *Client) anyCall(f func(*call) bool) (any bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.lanes {
		if x := l.call.Load(); x != nil && f(x) {
			any = true
		}
	}
	return any
}
