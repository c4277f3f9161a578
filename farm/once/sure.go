package once

import (
	"context"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// A node is sure of what it holds as long as nobody can have taken it. Who takes it puts a suspicion into the
// log first, waits for Patience, and only then has the owner expire. So an owner that was not suspected at
// some moment has at least that long from that moment on. It finds such moments by a barrier, after which it
// looks at its own copy, and by each command of its own. It counts from before it asked, and stops a fifth
// earlier, for clocks that do not run alike. Neither the time of day nor the log's time has a part in it.

// Patience is how long an owner has to refute a suspicion. It is the same on all nodes.
const Patience = 3 * time.Second

const (
	sureFor      = Patience * 4 / 5
	refreshEvery = Patience / 5 // while something is held
)

// sure notes that this node's copy, as it is now, has everything from before asked, and does not suspect the
// owner. It reports false if it does, or has no such owner.
func (o *owner) sure(asked time.Time) bool {
	now, ok := o.c.cfg.Local().Owner(o.id)
	if !ok || now.Suspicion != 0 {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := asked.Add(o.c.sureFor); t.After(o.until) {
		o.until = t
	}
	return true
}

// sureUntil returns until when nobody else can have what this owner holds.
func (o *owner) sureUntil() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.until
}

// confirm makes sure of the owner for some time, if that is not so already. It fails with ErrLost if the
// owner is lost.
func (o *owner) confirm(ctx context.Context) error {
	if time.Until(o.sureUntil()) > o.c.sureFor/2 {
		return nil
	}
	asked := time.Now()
	if err := o.c.cfg.Log.Barrier(ctx); err != nil {
		return err
	}
	me, ok := o.c.cfg.Local().Owner(o.id)
	switch {
	case !ok:
		o.c.lost(o)
		return ErrLost
	case me.Suspicion == 0 && o.sure(asked):
		return nil
	}
	return o.refute(ctx)
}

// refute takes a suspicion back. If that comes too late the owner is lost.
func (o *owner) refute(ctx context.Context) error {
	asked := time.Now()
	a, err := o.c.doHere(ctx, state.Refute{ID: o.id})
	switch {
	case err != nil:
		return err
	case a.Code == state.Gone:
		o.c.lost(o)
		return ErrLost
	}
	o.sure(asked)
	return nil
}

// refresh keeps the owner sure while it holds something, and refutes suspicions. It looks at this node's copy
// even while nothing is held, since a lock may be granted to a request that was given up.
func (o *owner) refresh() {
	kept := time.Now()
	t := time.NewTimer(refreshEvery)
	defer t.Stop()
	for {
		every := refreshEvery
		if !o.busy() {
			every = Patience
		}
		t.Reset(time.Until(kept.Add(every)))
		select {
		case <-o.wake: // a suspicion, another copy, or there is something to keep from now on
			o.heed()
			if o.restored.Swap(false) {
				o.check()
				o.lookAgain()
			}
		case <-t.C:
			kept = time.Now()
			o.keep()
		case <-o.ctx.Done():
			return
		}
	}
}

func (o *owner) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.busyLocked()
}

func (o *owner) busyLocked() bool { return len(o.leases)+len(o.waiting) > 0 }

// heed refutes a suspicion, if there is one.
func (o *owner) heed() {
	if me, ok := o.c.cfg.Local().Owner(o.id); !ok || me.Suspicion == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(o.ctx, sureFor)
	defer cancel()
	if err := o.refute(ctx); err != nil && sleep.For(o.ctx, refreshEvery/4) {
		signal(o.wake)
	}
}

// keep makes sure of what is held, for a while.
func (o *owner) keep() {
	if len(o.held()) > 0 {
		ctx, cancel := context.WithTimeout(o.ctx, sureFor)
		defer cancel()
		asked := time.Now()
		if o.c.cfg.Log.Barrier(ctx) != nil {
			return // guard sees to it that this does not go on for ever
		}
		if _, ok := o.c.cfg.Local().Owner(o.id); !ok {
			o.c.lost(o)
			return
		}
		o.sure(asked)
	}
	o.heed()
	o.check()
}

// guard ends the leases when this node is not sure of them any more.
func (o *owner) guard() {
	for {
		if len(o.held()) == 0 {
			select {
			case <-o.holds:
			case <-o.ctx.Done():
				return
			}
		}
		left := time.Until(o.sureUntil())
		if left <= 0 {
			o.endLeases(ErrLost)
			left = refreshEvery / 4
		}
		if !sleep.For(o.ctx, left) {
			return
		}
	}
}
