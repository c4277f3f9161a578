package configsync

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
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

// prepared is hooks that have run for a switch from one release to another.
type prepared struct {
	from, to *staged
	rollout  uint64 // 0 = for what is in force
	hooks    []undo // in the order in which they ran
}

// undo is what a hook returned.
type undo struct {
	what          string
	commit, abort func()
}

// prepare runs the hooks for a switch to st, for a rollout, or for what is in force if that is 0. The error is
// ErrEnded if nobody needs it by then.
func (m *Manager) prepare(ctx context.Context, st *staged, rollout uint64) error {
	for ctx.Err() == nil {
		p, already := m.preparation(st, rollout)
		if already {
			return nil
		}
		if err := m.awaitUndone(ctx); err != nil {
			return err
		}
		if err := m.run(ctx, p); err != nil {
			return err
		}
		if done, err := m.keep(p); done {
			return err
		}
	}
	return ctx.Err()
}

// preparation returns what the hooks are to run for, unless they have, or st is in use; and gives up what they
// have run for else.
func (m *Manager) preparation(st *staged, rollout uint64) (p *prepared, already bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p = &prepared{from: m.now.Load().staged, to: st, rollout: rollout}
	if p.from.digest == st.digest {
		return p, true
	}
	if has := m.prepared; has != nil && has.from == p.from && has.to == p.to {
		has.rollout = max(has.rollout, rollout)
		return has, true
	}
	m.giveUpLocked()
	return p, false
}

// keep keeps what was prepared, for the switch. done is false if it was prepared from something that is not in
// use any more.
func (m *Manager) keep(p *prepared) (done bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prepared = p
	source := m.s.Local().State()
	release, _ := source.For(m.s.Node)
	m.settlePreparedLocked(source, source.Digest(release))
	switch {
	case m.prepared == p:
		m.switchLocked(true)
		return true, nil
	case p.from != m.now.Load().staged:
		return false, nil
	}
	return true, ErrEnded
}

// settlePreparedLocked gives up what was prepared if it is of no use any more: its rollout has ended other than by
// the switch, or is not there any more, since the machine was replaced; or another switch has come between.
func (m *Manager) settlePreparedLocked(source *state.State, inForce digest) {
	p := m.prepared
	if p == nil || p.to.digest == inForce && p.from == m.now.Load().staged {
		return
	}
	r, ok := source.InProgress()
	if !ok || r.ID != p.rollout || r.Phase != PhaseStaging || p.from != m.now.Load().staged || m.ctx.Err() != nil {
		m.giveUpLocked()
		return
	}
	if release, _ := source.Release(r.Release); source.Digest(release) != p.to.digest {
		m.giveUpLocked()
	}
}

// run runs the hooks whose configs change.
func (m *Manager) run(ctx context.Context, p *prepared) error {
	for _, h := range m.s.Prepare {
		old, next := p.from.get(h.d), p.to.get(h.d)
		if schema.Equal(old.base.tree, next.base.tree) {
			continue
		}
		what := "hook of " + h.d.name
		e := errand{what: what, limit: codeTime}
		u, err := call(ctx, &m.strays, e, func(ctx context.Context) (u undo, err error) {
			u.commit, u.abort, err = h.run(ctx, old.base.value, next.base.value)
			u.what = what
			return u, err
		}, func(u undo) { m.unbounded("abort", u.abort) })
		if err != nil {
			m.sayPanic("prepare of "+h.d.name, err)
			m.mu.Lock()
			m.undoLocked(p)
			m.mu.Unlock()
			return fmt.Errorf("%s: prepare: %w", h.d.name, err)
		}
		p.hooks = append(p.hooks, u)
	}
	return nil
}

// commitLocked commits what was prepared for a switch. It reports false if that is still to be done.
func (m *Manager) commitLocked(old *snapshot, st *staged) bool {
	if p := m.prepared; p != nil && p.from == old.staged && p.to == st {
		m.prepared = nil
		m.committing.Store(true)
		for _, u := range p.hooks {
			m.bounded("commit", errand{u.what, commitTime, true}, u.commit)
		}
		m.committing.Store(false)
		return true
	}
	return !slices.ContainsFunc(m.s.Prepare, func(h Hook) bool {
		return !schema.Equal(old.staged.get(h.d).base.tree, st.get(h.d).base.tree)
	})
}

// bounded runs code of the program that cannot fail, and does not wait longer than its limit.
func (m *Manager) bounded(what string, e errand, f func()) {
	if f == nil {
		return
	}
	_, err := call(context.Background(), &m.strays, e, resultless(f), nil)
	m.sayFailed(what, err)
}

// unbounded is bounded without a limit, for what already runs in a goroutine that nobody waits for.
func (m *Manager) unbounded(what string, f func()) {
	if f == nil {
		return
	}
	_, err := guarded(context.Background(), resultless(f))
	m.sayFailed(what, err)
}

// resultless returns code of the program that cannot fail as call and guarded take it.
func resultless(f func()) func(context.Context) (struct{}, error) {
	return func(context.Context) (struct{}, error) {
		f()
		return struct{}{}, nil
	}
}

// sayFailed tells the logger of a commit or an abort that has panicked or hangs; nothing if err is nil.
func (m *Manager) sayFailed(what string, err error) {
	if err != nil {
		m.sayPanic(what, err)
		m.log.Error("a hook of the program did not do what it must", "what", what, "err", err)
	}
}

// giveUpLocked has what was prepared undone.
func (m *Manager) giveUpLocked() {
	if m.prepared != nil {
		m.undoLocked(m.prepared)
		m.prepared = nil
	}
}

// undoLocked has hooks undone, in reverse order, after those that are being undone. One that hangs is not waited
// for longer than codeTime: it must not keep all releases to come from this node.
func (m *Manager) undoLocked(p *prepared) {
	before, done := m.undone, make(chan struct{})
	m.undone = done
	go func() {
		defer close(done)
		<-before
		for _, u := range slices.Backward(p.hooks) {
			m.bounded("abort", errand{u.what, codeTime, true}, u.abort)
		}
	}()
}

// awaitUndone waits for hooks that are being undone: what they release may be needed again.
func (m *Manager) awaitUndone(ctx context.Context) error {
	m.mu.Lock()
	undone := m.undone
	m.mu.Unlock()
	select {
	case <-undone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
