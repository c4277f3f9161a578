package once

import (
	"context"
	"errors"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Node describes nodes: those of a role, of an application, or both. An empty field is of any.
type Node struct {
	Role string
	App  string
}

func (n Node) is(role, app string) bool {
	return (n.Role == "" || n.Role == role) && (n.App == "" || n.App == app)
}

// Singleton has fn run on exactly one node of the farm, of those whose program registers that name. When the
// node that runs it stops or drains, fn's context ends, and fn starts on another one as soon as it has
// returned; when that node's process is killed, within a second or so; when the node is cut off, within some
// seconds, and the context has ended there before.
//
// fn is to run until its context ends. If it returns before, it starts again on whichever node has waited
// longest, this one after a pause: a second, and after errors in a row up to a minute. A panic is an error.
// fence is that of the lease; see Lease for what it is for.
//
// Of the nodes that wait, those that prefer describes come first, in its order: once.Node{Role: "front"}. A
// node that comes later takes nothing from one that runs fn already.
//
// Singleton returns at once. The error says that the name is empty or too long, that fn is nil, or that this
// program has registered that name already; or ErrClosed.
func (c *Client) Singleton(name string, fn func(ctx context.Context, fence uint64) error,
	prefer ...Node) error {
	if fn == nil {
		return errNoFunc
	}
	rank := byte(len(prefer))
	for i, n := range prefer {
		if n.is(c.cfg.Role, c.cfg.App) {
			rank = byte(i)
			break
		}
	}
	return c.start(kindSingleton, name, func(w *work) { w.singleton(fn, rank) })
}

func (w *work) singleton(fn func(context.Context, uint64) error, rank byte) {
	var fails backoff
	for w.c.ctx.Err() == nil {
		if w.c.isRetired() {
			w.wait(longWait)
			continue
		}
		l, err := w.turn(rank)
		switch {
		case errors.Is(err, errRetired):
			continue
		case err != nil:
			sleep.For(w.c.ctx, w.failed("cannot wait for the turn of a singleton; trying again", err))
			continue
		}
		began := time.Now()
		err = w.runSingleton(l, fn)
		if err == nil || time.Since(began) > time.Minute {
			fails.reset()
		}
		if !w.c.isRetired() {
			sleep.For(w.c.ctx, fails.step())
		}
	}
}

// turn waits for the lease, but not on a node that retires.
func (w *work) turn(rank byte) (*Lease, error) {
	ctx, stop := w.unlessRetired(w.c.ctx)
	defer stop()
	l, err := w.c.acquire(ctx, request{kind: kindSingleton, name: w.name, rank: rank, wait: true})
	if err != nil && context.Cause(ctx) == errRetired {
		err = errRetired
	}
	return l, err
}

// unlessRetired returns ctx, ended by Retire too.
func (w *work) unlessRetired(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			if w.c.isRetired() {
				cancel(errRetired)
				return
			}
			select {
			case <-w.news:
			case <-ctx.Done():
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled); <-over }
}

// runSingleton runs fn by a lease, and gives that back when fn has returned.
func (w *work) runSingleton(l *Lease, fn func(context.Context, uint64) error) error {
	defer w.c.runs()()
	ctx, stop := w.unlessRetired(l.Context())
	defer stop()
	w.c.log.Info("runs here", "singleton", w.name, "fence", l.Fence())
	err := call(ctx, func(ctx context.Context) error { return fn(w.c.cfg.Context(l.over(ctx)), l.Fence()) })
	if err != nil && ctx.Err() == nil {
		w.sayFailed("a singleton failed; it starts again", err, "fence", l.Fence())
	} else {
		w.c.log.Info("runs here no more", "singleton", w.name, "fence", l.Fence(), "why", context.Cause(ctx))
		err = nil
	}
	if released := l.Unlock(); released != nil && released != ErrLost && w.c.ctx.Err() == nil {
		w.c.log.Warn("a singleton could not be given to another node yet; trying again", "singleton", w.name,
			"err", released)
	}
	return err
}
