package configsync

import (
	"context"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// prepared is hooks that have run for a switch from one release to another.
type prepared struct {
	from, to *staged
	rollout  uint64 // 0 = for what is in force
	hooks    []undo // in the order in which they ran
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

// giveUpLocked has what was prepared undone.
func (m *Manager) giveUpLocked() {
	if m.prepared != nil {
		m.undoLocked(m.prepared)
		m.prepared = nil
	}
}
