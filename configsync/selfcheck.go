package configsync

import (
	"context"
	"errors"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Health is what a node says of itself after a switch.
type Health struct {
	Node   string
	Unwell string // why it is not well; "" = it is
}

// Confirm reports whether this node is well after the switch of a rollout: it uses the release, and
// Settings.SelfCheck has nothing against it. That it is not well is a Health. Errors, which say that there is
// no answer: ErrClosed, or ctx's own.
func (m *Manager) Confirm(ctx context.Context, rollout uint64) (Health, error) {
	h := Health{Node: m.s.Node}
	short, cancel := context.WithTimeout(ctx, selfCheckTime)
	defer cancel()
	err := m.await(short, func() bool {
		if m.Usable() != nil {
			return false
		}
		r, ok := m.now.Load().source.Rollout(rollout)
		return ok && r.Phase != PhaseStaging
	})
	switch {
	case ctx.Err() != nil || m.ctx.Err() != nil:
		return h, err
	case err != nil:
		if err = m.Usable(); err == nil {
			err = errors.New("it has not heard of the switch")
		}
		h.Unwell = cut(err.Error(), state.MaxReason)
		return h, nil
	}
	err = m.selfCheck(ctx)
	if ctx.Err() != nil {
		return h, ctx.Err()
	}
	if err != nil && m.unwell.Load() == rollout {
		m.log.Warn("the self-check fails, as it did before the switch: that says nothing of a release for which this "+
			"node has to be started again", "rollout", rollout, "err", err)
		return h, nil
	}
	if err != nil {
		m.sayPanic("self-check", err)
		h.Unwell = cut("self-check: "+err.Error(), state.MaxReason)
	}
	return h, nil
}

// selfCheck asks the program whether this node is well.
func (m *Manager) selfCheck(ctx context.Context) error {
	if m.s.SelfCheck == nil {
		return nil
	}
	_, err := call(ctx, &m.strays, errand{what: "self-check", limit: selfCheckTime}, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, m.s.SelfCheck(ctx)
	}, nil)
	return err
}

// checkBefore looks whether this node is unwell already before the switch of a rollout, if it has to be started again
// for that. It may be so by what it has begun with, and get well by nothing else.
func (m *Manager) checkBefore(ctx context.Context, st *staged, rollout uint64) {
	begun := m.begun.Load()
	if begun == nil || !begun.told || len(begun.changedIn(st)) == 0 || m.selfCheck(ctx) == nil {
		m.unwell.CompareAndSwap(rollout, 0)
		return
	}
	m.unwell.Store(rollout)
}
