package configsync

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Activate puts a release in force that is kept, as Publish does a new one. That of the canary is so promoted
// to all nodes. Errors: those of Put, ErrNoRelease, and ErrUnavailable for a release whose content is not kept any more
// and is to be had from nobody.
func (m *Manager) Activate(ctx context.Context, w Write, release uint64, p Plan) (Result, error) {
	if p.Dry {
		return only(m.DryRunRelease(ctx, w, release, p))
	}
	r, err := m.publishing.begin(ctx, w, release, p)
	if err == nil {
		r, err = m.writing.end(ctx, r)
	}
	return r, err
}

func (pb *publishing) begin(ctx context.Context, w Write, release uint64, p Plan) (Result, error) {
	if err := pb.areMembers(p.Nodes); err != nil {
		return Result{}, err
	}
	if err := pb.strictly(ctx, w, p, false); err != nil {
		return Result{}, err
	}
	p = withDefaults(p)
	if err := pb.haveAgain(ctx, release, p); err != nil {
		return Result{}, err
	}
	cmd := state.Begin{Write: state.Write(w), Release: release, Plan: p}.Append(nil)
	return pb.writing.write(ctx, w, cmd, func(s *state.State) (Files, error) {
		r, ok := s.Release(release)
		if !ok || release == 0 {
			return nil, noRelease(release)
		}
		if p.Percent > 0 {
			if err := pb.sharable(s, r); err != nil {
				return nil, err
			}
		}
		return filesOf(s, r.Revision), nil
	})
}

// haveAgain brings the content of a release here that is not kept any more. If nobody has it, a rollout would wait
// for it until its time is over, and keep every other one waiting.
func (pb *publishing) haveAgain(ctx context.Context, release uint64, p Plan) error {
	s := pb.state()
	r, ok := s.Release(release)
	if !ok || r.Content.Root.IsZero() || pb.settings.Content == nil || pb.settings.Log == nil ||
		slices.Contains(s.Roots(), r.Content.Root) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.Stage)
	defer cancel()
	_, err := pb.supply.fetch(ctx, r.Content, func(NodeProgress) {})
	if errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("%w: that of release %d is not kept any more, and no node that can be reached has all of it: "+
			"publish it again", ErrUnavailable, release)
	}
	if err != nil {
		err = fmt.Errorf("configsync: the content of release %d, which is not kept any more, cannot be had again: %w",
			release, err)
	}
	return err
}

// Rollback puts the release of an earlier epoch in force again, as a new epoch. It goes the same way as a new
// release: what was valid once need not be any more. Errors: those of Put, and ErrNoEpoch.
func (m *Manager) Rollback(ctx context.Context, w Write, to uint64) (epoch uint64, err error) {
	return m.RollbackPlan(ctx, w, to, Plan{})
}

// RollbackPlan is Rollback by a plan, which may be Strict.
func (m *Manager) RollbackPlan(ctx context.Context, w Write, to uint64, p Plan) (epoch uint64, err error) {
	if err := m.proposing.barrier(ctx); err != nil {
		return 0, err
	}
	e, ok := m.state().Epoch(to)
	if !ok || e.Release == 0 {
		return 0, noEpoch(to)
	}
	r, err := m.Activate(ctx, w, e.Release, p)
	return r.Epoch, err
}
