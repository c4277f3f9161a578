package configsync

import (
	"context"
	"errors"
	"sync/atomic"

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
	return m.selfChecks.confirm(ctx, rollout)
}

// selfChecks look whether this node is well.
type selfChecks struct {
	*base
	switching *switching
	usability *usability
	unwell    atomic.Uint64 // the rollout before whose switch this node was found unwell; 0 = none
}

// confirm is Manager.Confirm.
func (sc *selfChecks) confirm(ctx context.Context, rollout uint64) (Health, error) {
	h := Health{Node: sc.settings.Node}
	short, cancel := context.WithTimeout(ctx, selfCheckTime)
	defer cancel()
	var lacks error // as the last look has shown
	err := sc.await(short, func() bool {
		lacks = sc.lacks(rollout)
		return lacks == nil
	})
	switch {
	case ctx.Err() != nil || sc.ctx.Err() != nil:
		return h, err
	case err != nil:
		h.Unwell = cut(lacks.Error(), state.MaxReason)
		return h, nil
	}
	check, ready := sc.forShare(ctx, rollout)
	if !ready {
		h.Unwell = "it is not ready to show the release to its share of the clients"
		return h, nil
	}
	err = sc.run(check)
	if ctx.Err() != nil {
		return h, ctx.Err()
	}
	if err != nil && sc.unwell.Load() == rollout {
		sc.log.Warn("the self-check fails, as it did before the switch: that says nothing of a release for which this "+
			"node has to be started again", "rollout", rollout, "err", err)
		return h, nil
	}
	if err != nil {
		sc.sayPanic("self-check", err)
		h.Unwell = cut("self-check: "+err.Error(), state.MaxReason)
	}
	return h, nil
}

// lacks returns what keeps this node from using what a rollout has switched to; nil if nothing does. What it uses, and
// whether that is of the switch, is of one snapshot.
func (sc *selfChecks) lacks(rollout uint64) error {
	s, err := sc.usability.look()
	if err != nil {
		return err
	}
	if r, ok := s.source.Rollout(rollout); !ok || r.Phase == PhaseStaging {
		return errors.New("it has not heard of the switch")
	}
	return nil
}

// run asks the program whether this node is well.
func (sc *selfChecks) run(ctx context.Context) error {
	if sc.settings.SelfCheck == nil {
		return nil
	}
	return sc.askProgram(ctx, errand{what: "self-check", limit: selfCheckTime}, sc.settings.SelfCheck)
}

// checkBefore looks whether this node is unwell already before the switch of a rollout, if it has to be started again
// for that. It may be so by what it has begun with, and get well by nothing else.
func (sc *selfChecks) checkBefore(ctx context.Context, st *staged, rollout uint64) {
	begun := sc.switching.begun.Load()
	if begun == nil || !begun.told || len(begun.changedIn(st)) == 0 || sc.run(ctx) == nil {
		sc.unwell.CompareAndSwap(rollout, 0)
		return
	}
	sc.unwell.Store(rollout)
}
