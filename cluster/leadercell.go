package cluster

import (
	"context"
	"sync"
	"time"
)

// leaderCell holds the leader's server ID, with a context that ends when it changes.
type leaderCell struct {
	mu     sync.Mutex
	server string
	ctx    context.Context
	cancel context.CancelFunc
}

func (c *leaderCell) set(parent context.Context, server string) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == server && c.ctx != nil {
		return false
	}
	if c.cancel != nil {
		c.cancel()
	}
	c.server = server
	c.ctx, c.cancel = context.WithCancel(parent)
	return true
}

// get returns the leader, "" if there is none, and a context that ends when that changes.
func (c *leaderCell) get() (server string, ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server, c.ctx
}

// changes returns a channel that is closed when the leader changes; nil, for never, before the first is
// known, and when the instance has ended.
func (c *leaderCell) changes() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil || c.ctx.Err() != nil {
		return nil
	}
	return c.ctx.Done()
}

// attemptTimeout is for how long a question is put to one leader.
const attemptTimeout = 5 * time.Second

// askLeader calls f with the present leader, within a time that allows for another attempt elsewhere.
func (c *core) askLeader(ctx context.Context, f func(ctx context.Context, leader string) error) error {
	leader, lctx := c.leader.get()
	if leader == "" {
		return ErrNoLeader
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	defer context.AfterFunc(lctx, cancel)()
	return f(ctx, leader)
}
