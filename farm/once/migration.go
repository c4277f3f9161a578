package once

import (
	"context"
	"errors"
)

// Once runs fn to success once in the life of the farm, on whichever node comes first: a migration of the
// database, say. Where another node is at it, Once waits until that has succeeded, or takes its turn. It
// returns nil when fn has succeeded, here or elsewhere, now or a year ago; and fn's error if it failed here:
// then the next node that asks tries it, with a greater fence.
//
// fn's context ends with ctx, and with the lease; see Lease. When a node ends in the middle another one runs
// fn from its beginning, so what it does must bear that. ErrLost says that fn returned nil after the lease
// had ended, and ErrUncertain or ErrNoLeader that its success could not be put into the log: another node may
// run it once more.
//
// With a farm in memory "the life of the farm" ends when all its nodes have stopped.
func (c *Client) Once(ctx context.Context, name string,
	fn func(ctx context.Context, fence uint64) error) error {
	return c.migrate(ctx, name, true, fn)
}

// TryOnce is Once, and fails with ErrHeld where another node is at it.
func (c *Client) TryOnce(ctx context.Context, name string,
	fn func(ctx context.Context, fence uint64) error) error {
	return c.migrate(ctx, name, false, fn)
}

func (c *Client) migrate(ctx context.Context, name string, wait bool,
	fn func(context.Context, uint64) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	if fn == nil {
		return errNoFunc
	}
	if _, done := c.cfg.Local().Done(kindOnce + name); done {
		return nil
	}
	l, err := c.acquire(ctx, request{kind: kindOnce, name: name, wait: wait})
	switch {
	case errors.Is(err, errFinished):
		return nil
	case err != nil:
		return err
	}
	defer l.Unlock()
	defer c.runs()() // a drain and Close wait for it
	c.log.Info("runs here", "migration", name, "fence", l.Fence())
	both, cancel := context.WithCancelCause(l.Context())
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	defer cancel(context.Canceled)
	if err := call(both, func(ctx context.Context) error { return fn(l.over(ctx), l.Fence()) }); err != nil {
		return err
	}
	return l.release(true)
}
