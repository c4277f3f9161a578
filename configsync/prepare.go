package configsync

import (
	"context"

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
func (sw *switching) prepare(ctx context.Context, st *staged, rollout uint64) error {
	for ctx.Err() == nil {
		p, already := sw.preparation(st, rollout)
		if already {
			return nil
		}
		if err := sw.hooks.awaitUndone(ctx); err != nil {
			return err
		}
		if err := sw.hooks.run(ctx, p); err != nil {
			return err
		}
		if done, err := sw.keep(p); done {
			return err
		}
	}
	return ctx.Err()
}

// preparation returns what the hooks are to run for, unless they have, or st is in use; and gives up what they
// have run for else.
func (sw *switching) preparation(st *staged, rollout uint64) (p *prepared, already bool) {
	sw.mu.Lock()
	defer sw.unlock()
	p = &prepared{from: sw.now.Load().staged, to: st, rollout: rollout}
	if p.from.digest == st.digest {
		return p, true
	}
	if has := sw.prepared; has != nil && has.from == p.from && has.to == p.to {
		has.rollout = max(has.rollout, rollout)
		return has, true
	}
	sw.giveUpLocked()
	return p, false
}

// keep keeps what was prepared, for the switch. done is false if it was prepared from something that is not in
// use any more.
func (sw *switching) keep(p *prepared) (done bool, err error) {
	sw.mu.Lock()
	defer sw.unlock()
	sw.prepared = p
	source := sw.state()
	release, _ := source.For(sw.settings.Node)
	sw.settlePreparedLocked(source, source.Digest(release))
	switch {
	case sw.prepared == p:
		sw.switchLocked(true)
		return true, nil
	case p.from != sw.now.Load().staged:
		return false, nil
	}
	return true, ErrEnded
}

// settlePreparedLocked gives up what was prepared if it is of no use any more: its rollout has ended other than by
// the switch, or is not there any more, since the machine was replaced; or another switch has come between.
func (sw *switching) settlePreparedLocked(source *state.State, inForce digest) {
	p := sw.prepared
	if p == nil || p.to.digest == inForce && p.from == sw.now.Load().staged {
		return
	}
	r, ok := source.InProgress()
	if !ok || r.ID != p.rollout || r.Phase != PhaseStaging || p.from != sw.now.Load().staged || sw.ctx.Err() != nil {
		sw.giveUpLocked()
		return
	}
	if release, _ := source.Release(r.Release); source.Digest(release) != p.to.digest {
		sw.giveUpLocked()
	}
}

// commitLocked commits what was prepared for a switch. It reports false if that is still to be done.
func (sw *switching) commitLocked(old *snapshot, st *staged) bool {
	if p := sw.prepared; p != nil && p.from == old.staged && p.to == st {
		sw.prepared = nil
		if len(p.hooks) > 0 { // else nobody is waited for, and none may see what was in use before
			sw.committing.Store(true)
			defer sw.committing.Store(false)
			sw.hooks.commit(p, sw.sayLocked)
		}
		return true
	}
	return !sw.hooks.change(old.staged, st)
}

// giveUp has what was prepared undone.
func (sw *switching) giveUp() {
	sw.mu.Lock()
	defer sw.unlock()
	sw.giveUpLocked()
}

// giveUpLocked has what was prepared undone.
func (sw *switching) giveUpLocked() {
	if sw.prepared != nil {
		sw.hooks.undo(sw.prepared)
		sw.prepared = nil
	}
}
