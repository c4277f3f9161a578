package link

import (
	"context"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Tell sends a frame that has no answer, and returns when it was written. A program that does not know the
// method answers by ErrVersion. From then on the other end is told nothing, which is no error.
func (c *Conn) Tell(ctx context.Context, m wire.Method, payload []byte) error {
	c.mu.Lock()
	deaf, err := c.deaf, c.err
	c.mu.Unlock()
	if deaf || err != nil {
		return err
	}
	if err := c.writing.take(ctx); err != nil {
		return err
	}
	if err := c.send(wire.NoCall, m, payload); err != nil {
		c.Kill(err)
		return err
	}
	return nil
}
