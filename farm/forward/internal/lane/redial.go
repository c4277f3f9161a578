package lane

import (
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	redialFirst = 250 * time.Millisecond // after a dial that has failed
	redialMost  = 5 * time.Second
)

// downLocked notes that there is no trunk, and has one dialled, until there is.
func (c *Client) downLocked() {
	if c.down || c.closed || c.cfg.Down == nil || c.trunk != nil && c.trunk.alive() {
		return
	}
	c.down = true
	c.cfg.Down(true)
	c.wg.Go(c.redial)
}

// upLocked notes that there is a trunk.
func (c *Client) upLocked() {
	if c.down {
		c.down = false
		c.cfg.Down(false)
	}
}

// redial dials until there is a trunk, by whomever.
func (c *Client) redial() {
	for wait := redialFirst; ; wait = min(2*wait, redialMost) {
		if _, err := c.connect(c.ctx); err == nil || c.ctx.Err() != nil {
			return
		}
		if !sleep.For(c.ctx, wait) {
			return
		}
	}
}
