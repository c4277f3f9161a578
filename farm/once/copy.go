package once

import (
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// A copy of the state that is made anew, from a snapshot, says so before it takes the place of the former
// one: other machines are made with it. So everybody looks again when it is there.

const (
	copyEvery    = 20 * time.Millisecond
	copyPatience = 10 * time.Second // after which those who wait look by themselves, now and then
)

// lookAgainLocked has everybody look at the state: anything may have changed.
func (c *Client) lookAgainLocked() {
	for _, w := range c.works {
		signal(w.news)
	}
	if o := c.owner; o != nil {
		o.restored.Store(true)
		signal(o.wake)
		signal(o.ring)
	}
}

// awaitCopyLocked has everybody look again when this node's copy is another one than now.
func (c *Client) awaitCopyLocked() {
	c.copyUntil = time.Now().Add(copyPatience)
	if c.closed || c.awaitsCopy {
		return
	}
	c.awaitsCopy = true
	before := c.cfg.Local()
	c.wg.Go(func() {
		for c.seeCopy(&before) && sleep.For(c.ctx, copyEvery) {
		}
	})
}

// seeCopy looks whether this node's copy is still that of before, and reports whether it is worth another
// look.
func (c *Client) seeCopy(before **Machine) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.cfg.Local(); now != *before {
		*before = now
		c.lookAgainLocked()
	}
	c.awaitsCopy = time.Now().Before(c.copyUntil)
	return c.awaitsCopy
}
