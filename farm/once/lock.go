package once

import (
	"context"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// Lock waits until this node has the lock of that name, which nobody else in the farm has then. Those who
// wait get it in the order in which the log has their requests, and nobody polls. ctx bounds the wait alone;
// see Lease.Context.
//
// Errors: the context's; ErrLevel; ErrClosed; ErrFull; ErrTooLarge for the name; ErrNoLeader or ErrUncertain
// if the farm could not be asked before ctx ended. With any of them this node does not hold the lock, or
// gives it back by itself.
func (c *Client) Lock(ctx context.Context, name string) (*Lease, error) {
	return c.lock(ctx, name, true)
}

// TryLock is Lock, and fails with ErrHeld where that would wait for somebody.
func (c *Client) TryLock(ctx context.Context, name string) (*Lease, error) {
	return c.lock(ctx, name, false)
}

func (c *Client) lock(ctx context.Context, name string, wait bool) (*Lease, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return c.acquire(ctx, request{kind: kindLock, name: name, wait: wait})
}

// request is what somebody wants to hold.
type request struct {
	kind string
	name string
	rank byte
	wait bool
}

// acquire gets a lock, as one owner after the other if this node is taken for dead meanwhile.
func (c *Client) acquire(ctx context.Context, r request) (*Lease, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	for {
		o, err := c.present(ctx)
		if err != nil {
			return nil, c.why(ctx, err)
		}
		l, err := o.acquire(ctx, r)
		if l != nil || err != nil {
			return l, c.why(ctx, err)
		}
	}
}

// within returns ctx, ended by the end of the client too.
func (c *Client) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(context.Canceled) }
}

// why returns ErrClosed for an error that came of the client's end.
func (c *Client) why(ctx context.Context, err error) error {
	if err != nil && c.ctx.Err() != nil && context.Cause(ctx) == ErrClosed {
		return ErrClosed
	}
	return err
}

// acquire gets a lock. Without a lease and an error the owner is lost.
func (o *owner) acquire(ctx context.Context, r request) (*Lease, error) {
	n, news := o.draw()
	defer o.leave(n)
	c := state.Acquire{Owner: o.id, Ticket: n, Name: r.kind + r.name, Rank: r.rank, Wait: r.wait}
	asked := time.Now()
	a, err := o.c.doHere(ctx, c)
	if err != nil {
		o.giveBack(n)
		return nil, err
	}
	o.sure(asked)
	switch a.Code {
	case state.Busy:
		return nil, ErrHeld
	case state.Finished:
		return nil, errFinished
	case state.Full:
		return nil, ErrFull
	case state.Gone:
		o.c.lost(o)
		return nil, nil
	case state.Granted, state.Queued:
		return o.await(ctx, r, n, news)
	}
	return nil, unexpected(a)
}

// await waits until a ticket's turn has come.
func (o *owner) await(ctx context.Context, r request, n uint64, news chan struct{}) (*Lease, error) {
	for {
		switch standing, fence := o.c.cfg.Local().Ticket(o.id, n); standing {
		case state.Holding:
			return o.hold(ctx, r, n, fence)
		case state.None:
			if _, done := o.c.cfg.Local().Done(r.kind + r.name); done {
				return nil, errFinished
			}
			if _, ok := o.c.cfg.Local().Owner(o.id); !ok {
				o.c.lost(o)
			} else {
				o.giveBack(n)
			}
			return nil, nil // asked once more
		}
		select {
		case <-news:
		case <-o.ctx.Done():
			return nil, nil
		case <-ctx.Done():
			o.giveBack(n)
			return nil, ctx.Err()
		}
	}
}

// hold makes a lease of a ticket whose turn has come.
func (o *owner) hold(ctx context.Context, r request, n, fence uint64) (*Lease, error) {
	if err := o.confirm(ctx); err == ErrLost {
		return nil, nil
	} else if err != nil {
		o.giveBack(n)
		return nil, err
	}
	return newLease(ctx, o, r.name, n, fence, func(m *Machine) bool {
		standing, _ := m.Ticket(o.id, n)
		return standing == state.Holding
	}), nil
}
