package farmctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

// againAfter is how long to wait before a node is asked again.
const againAfter = time.Second

// repeated does what may be done again: a question, or a change with a key of its own, which is not made twice. It asks
// again while a node stops, or the farm changes its leader, until there was no news for -timeout. An error of the first
// contact is final: the address may be wrong. do calls news whenever there is some.
func (c *call) repeated(ctx context.Context, do func(ctx context.Context, news func()) error) error {
	unknown, since := false, time.Now()
	news := func() { since = time.Now() }
	for {
		err := do(ctx, news)
		lost := errors.Is(err, admin.ErrInterrupted)
		away := errors.Is(err, admin.ErrUnreachable)
		c.heard, unknown = c.heard || !away, unknown || lost
		waits := lost || away || errors.Is(err, admin.ErrNoQuorum)
		if waits && c.heard && ctx.Err() == nil && time.Since(since) < c.timeout {
			c.trouble(err)
			select {
			case <-time.After(cmp.Or(c.againAfter, againAfter)):
				continue
			case <-ctx.Done():
			}
		}
		if waits && unknown && !lost { // what was asked before may have been done
			return fmt.Errorf("%w: %w", admin.ErrInterrupted, err)
		}
		return err
	}
}

// trouble says, once, why something is asked again.
func (c *call) trouble(err error) {
	if text := sentence(err); text != c.troubled {
		c.troubled = text
		fmt.Fprintf(c.err, "%s: asking again: %s\n", c.name, text)
	}
}
