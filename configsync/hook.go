package configsync

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
)

// Hook is what a program does around a switch, made by Config.OnPrepare: an entry of Settings.Prepare.
type Hook struct {
	d   *declaration
	run func(ctx context.Context, old, next any) (commit, abort func(), err error)
}

// OnPrepare returns a hook that makes ready what a change of this config needs, such as another listener or
// pool. It is called with the values outside of sections, in use and to come, before anything is switched; not
// for a change that leaves them as they are. Until the first switch the defaults are in use.
//
// An error, a panic, or no return within 10 s, at which ctx ends, refuses the release: nothing changes on any
// node. Otherwise exactly one of commit and abort is called, each of which may be nil. commit is called at the
// switch, before any request sees the new value: it swaps pointers, cannot fail, and must not wait for
// anything. What it reads of configs outside of requests is as it was before the switch. abort undoes what was made
// ready; it is called as well when prepare returns too late, and when the Manager is closed. It has 10 s until the next
// release is made ready. A hook of which 8 calls have not come back is not called again: it refuses.
func (c Config[T]) OnPrepare(prepare func(ctx context.Context, old, next *T) (commit, abort func(), err error)) Hook {
	return Hook{c.d, func(ctx context.Context, old, next any) (func(), func(), error) {
		return prepare(ctx, old.(*T), next.(*T))
	}}
}

// undo is what a hook returned.
type undo struct {
	what          string
	commit, abort func()
}

// hooks runs those of the program around a switch.
type hooks struct {
	*base
	mu     sync.Mutex
	undone chan struct{} // closed when those that were given up last are undone; guarded by mu
}

func newHooks(b *base) *hooks {
	none := make(chan struct{})
	close(none)
	return &hooks{base: b, undone: none}
}

// concerned reports whether a hook has to run for a switch from one release to another.
func (h Hook) concerned(from, to *staged) bool {
	return !schema.Equal(from.get(h.d).base.tree, to.get(h.d).base.tree)
}

// change reports whether some hook has to run for a switch from one release to another.
func (hk *hooks) change(from, to *staged) bool {
	return slices.ContainsFunc(hk.settings.Prepare, func(h Hook) bool { return h.concerned(from, to) })
}

// commit has what the hooks made ready used. later gets what is to be said of it, since a lock is held.
func (hk *hooks) commit(p *prepared, later func(say func())) {
	for _, u := range p.hooks {
		if err := hk.bounded(errand{u.what, commitTime, true}, u.commit); err != nil {
			later(func() { hk.sayFailed("commit", err) })
		}
	}
}

// run runs the hooks whose configs change.
func (hk *hooks) run(ctx context.Context, p *prepared) error {
	for _, h := range hk.settings.Prepare {
		if !h.concerned(p.from, p.to) {
			continue
		}
		old, next := p.from.get(h.d), p.to.get(h.d)
		what := "hook of " + h.d.name
		e := errand{what: what, limit: codeTime}
		u, err := call(ctx, &hk.strays, e, func(ctx context.Context) (u undo, err error) {
			u.commit, u.abort, err = h.run(ctx, old.base.value, next.base.value)
			u.what = what
			return u, err
		}, func(u undo) { hk.unbounded("abort", u.abort) })
		if err != nil {
			hk.sayPanic("prepare of "+h.d.name, err)
			hk.undo(p)
			return fmt.Errorf("%s: prepare: %w", h.d.name, err)
		}
		p.hooks = append(p.hooks, u)
	}
	return nil
}

// undo has hooks undone, in reverse order, after those that are being undone. One that hangs is not waited
// for longer than codeTime: it must not keep all releases to come from this node.
func (hk *hooks) undo(p *prepared) {
	hk.mu.Lock()
	defer hk.mu.Unlock()
	before, done := hk.undone, make(chan struct{})
	hk.undone = done
	go func() {
		defer close(done)
		<-before
		for _, u := range slices.Backward(p.hooks) {
			hk.sayFailed("abort", hk.bounded(errand{u.what, codeTime, true}, u.abort))
		}
	}()
}

// awaitUndone waits for hooks that are being undone: what they release may be needed again.
func (hk *hooks) awaitUndone(ctx context.Context) error {
	hk.mu.Lock()
	undone := hk.undone
	hk.mu.Unlock()
	select {
	case <-undone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
