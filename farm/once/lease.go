package once

import (
	"context"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// Lease is the right to do something that nobody else in the farm does at the same time, for as long as
// Context has not ended.
//
// A lease is not a transaction. Between a look at Context and what is done then, the process may be stopped
// for any length of time, and go on when somebody else has the lease. So whoever is written to has to refuse
// what comes too late: give it the Fence, and have it refuse a Fence that is less than the greatest it has
// seen. The examples show how PostgreSQL and an HTTP API do that.
type Lease struct {
	o      *owner
	name   string
	ticket uint64 // 0: it is the run of a job
	fence  uint64
	stands func(*Machine) bool // whether it is held, by a copy of the state
	ctx    context.Context
	cancel context.CancelCauseFunc

	once     sync.Once
	returned chan struct{} // closed when it has ended here, and Unlock has tried to give it back or need not
	err      error         // of Unlock; guarded by returned
}

// newLease makes a lease of what o holds. Its context has the values of ctx, and not its end.
func newLease(ctx context.Context, o *owner, name string, ticket, fence uint64,
	stands func(*Machine) bool) *Lease {
	l := &Lease{o: o, name: name, ticket: ticket, fence: fence, stands: stands, returned: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	o.take(l)
	if o.ctx.Err() != nil { // whoever ended all leases may have done so just before
		l.finish(context.Cause(o.ctx))
	}
	return l
}

// Name returns what the lease is of.
func (l *Lease) Name() string { return l.name }

// Fence returns the number of this grant. Of two grants of one name, the later has the greater one, for ever:
// whatever happens to the farm between them, be it that all nodes restart with nothing, or that an old backup
// is restored. The exception is a farm whose nodes' clocks were set back before that. It is the log's
// time at the grant, in microseconds since 1970, and at least one more than any before; it fits a PostgreSQL
// bigint and a JavaScript number.
func (l *Lease) Fence() uint64 { return l.fence }

// Context ends with the lease: when Unlock is called, when the node stops, or as soon as this node cannot be
// sure any more that nobody else has it. That is so before anybody else can get it, by this process's own
// monotonic clock; Err looks at that clock itself, so it tells the truth even to a process that has just been
// woken, while Done, and contexts derived from this one, learn it a moment later. context.Cause is ErrLost
// then, ErrClosed when the node stops.
//
// It has the values of the context that Lock was given, and does not end with it.
func (l *Lease) Context() context.Context { return l.over(l.ctx) }

// over returns ctx, which is derived from the lease's, with an Err that looks at the clock.
func (l *Lease) over(ctx context.Context) context.Context { return leaseContext{ctx, l} }

type leaseContext struct {
	context.Context
	l *Lease
}

// Err implements context.Context.
func (c leaseContext) Err() error {
	if c.Context.Err() == nil && !time.Now().Before(c.l.o.sureUntil()) {
		c.l.finish(ErrLost)
	}
	return c.Context.Err()
}

// finish ends a lease on this node, and has it given back if it was lost.
func (l *Lease) finish(cause error) {
	l.once.Do(func() {
		l.cancel(cause)
		l.o.drop(l, false)
		if cause == ErrLost {
			l.err = ErrLost
			l.o.c.counters.lost.Add(1)
			if l.ticket != 0 {
				l.o.giveBack(l.ticket)
			}
		}
		close(l.returned)
	})
}

// Unlock gives the lease back, and returns when the next one can have it. ErrLost says that it had ended
// before: others may have had it meanwhile. With any other error this node goes on trying, and the lease is
// over here. It may be called several times.
func (l *Lease) Unlock() error { return l.release(false) }

func (l *Lease) release(finished bool) error {
	first := false
	l.once.Do(func() {
		first = true
		l.cancel(context.Canceled)
		l.o.drop(l, true)
	})
	if first {
		l.err = l.returnIt(finished)
		close(l.returned)
	}
	<-l.returned
	if !first && l.err == nil && finished {
		return context.Cause(l.ctx) // it was not put into the log
	}
	return l.err
}

// returnIt gives the ticket back, or has that be done.
func (l *Lease) returnIt(finished bool) error {
	ctx, cancel := context.WithTimeout(l.o.ctx, commandTimeout)
	defer cancel()
	a, err := l.o.c.do(ctx, state.Release{Owner: l.o.id, Ticket: l.ticket, Finished: finished})
	l.o.forget(l.ticket)
	switch {
	case err != nil:
		l.o.giveBack(l.ticket)
		return err
	case a.Code == state.Gone:
		return ErrLost
	case a.Code == state.Full:
		l.o.giveBack(l.ticket)
		return ErrFull
	}
	return nil
}
