package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// succeed re-forms the farm that is called cluster, if a survey allows it. Another node may re-form it at the
// same time. That makes a farm with another cluster ID, to which the survey does not apply.
func (rc *recovery) succeed(ctx context.Context, cluster string, lost map[string]bool) error {
	if err := rc.surveys.look(ctx, cluster, lost, false).Verdict(); err != nil {
		return err
	}
	if err := rc.standAndFollow(ctx, cluster, lost); err != nil {
		return fmt.Errorf("%w: %w", errHalfWay, err)
	}
	return nil
}

// standAndFollow has everybody who is left stand down, promise to follow one of them, and that one re-form
// the farm.
func (rc *recovery) standAndFollow(ctx context.Context, cluster string, lost map[string]bool) error {
	s := rc.surveys.look(ctx, cluster, lost, true)
	if err := s.Verdict(); err != nil {
		return err
	}
	began := time.Now()
	left := s.Left()
	for _, id := range left {
		if !s.Reports[id].Down {
			return fmt.Errorf("%w: %s has not stood down", wire.ErrNotReformed, id)
		}
	}
	successor := s.Successor()
	follow := wire.AppendStrings(wire.AppendString(wire.AppendString(nil, cluster), successor), sortedKeys(lost))
	for _, id := range slices.Compact(slices.Sorted(slices.Values(append(left, successor)))) {
		if _, err := rc.surveys.askServer(ctx, id, wire.MethodFollow, follow); err != nil {
			return fmt.Errorf("%w: %s does not promise to follow %s: %w", wire.ErrNotReformed, id, successor, err)
		}
	}
	// those who promised first may soon look whether it has come to nothing
	if time.Since(began) > reformPatience/2 {
		return fmt.Errorf("%w: the promises took too long", wire.ErrNotReformed)
	}
	_, err := rc.surveys.askServer(ctx, successor, wire.MethodReform, wire.AppendString(nil, cluster))
	return err
}

// answerReform re-forms the farm on this node, to which everybody left has promised to follow.
func (rc *recovery) answerReform(ctx context.Context, payload []byte) error {
	r := wire.NewReader(payload)
	cluster := r.Text()
	if err := r.End(); err != nil {
		return err
	}
	in := rc.instance()
	if !rc.standing.MayReform(cluster, in.server) || !in.quiet.ended() {
		return wire.ErrNotReformed
	}
	return rc.resets.orderReform(ctx, cluster, nil)
}
