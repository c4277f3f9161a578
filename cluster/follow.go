package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/succession"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A node that has stood down for a re-forming promises to follow one successor (internal/standing). It takes
// the promise back if the successor has given up, or if the old farm turns out to have a quorum without it.

// answerFollow promises to follow one successor, as long as that may re-form the farm.
func (rc *recovery) answerFollow(payload []byte) error {
	r := wire.NewReader(payload)
	cluster, successor, lost := r.Text(), r.Text(), r.Texts()
	if err := r.End(); err != nil {
		return err
	}
	id, in := rc.standing.Identity(), rc.instance()
	if cluster == "" || cluster != id.ClusterID || in.server != rc.standing.Server() || in.boot != id.Boot ||
		!in.quiet.ended() {
		return wire.ErrNotReformed
	}
	if by := rc.claims.held(); by != "" && by != wire.NodeOf(successor) {
		return wire.ErrWordGiven // which replaces the farm's state by a backup
	}
	rc.standing.StandDown()
	before := rc.standing.Word().Successor
	free := before == "" || before == successor || slices.Contains(lost, before) ||
		rc.released(cluster, before, successor)
	if !free {
		return wire.ErrWordGiven
	}
	return rc.standing.Promise(id, successor, before, rc.members.here)
}

// released reports whether this node may promise to follow another successor than before. A successor
// promises to follow itself, and re-forms nothing without that promise. Two successors, each followed by some
// nodes, could block each other for ever. So the one that holds less promises to follow the other one, and
// the promises that it got are void.
func (rc *recovery) released(cluster, before, successor string) bool {
	ctx, cancel := context.WithTimeout(rc.ctx, dialTimeout)
	defer cancel()
	in := rc.instance()
	if before == in.server {
		mine, err := rc.surveys.holdings(in)
		other, asked := rc.surveys.askReport(ctx, cluster, successor, false)
		return err == nil && asked == nil && other.Down && succession.Richer(&mine, other) < 0
	}
	if r, err := rc.surveys.askReport(ctx, cluster, before, false); err == nil {
		return r.Successor != "" && r.Successor != before
	}
	gone, _ := rc.surveys.gone(rc.ctx, before)
	return gone
}

// resumeIfAbandoned has this node take part again if it stood down, and nothing came of it. With a data
// directory its Raft goes on from the log, as soon as nobody can rely any more on its having ended. In memory
// it must not go on. But if a quorum turns out to be alive, nobody needs what this node holds, and it begins
// anew.
func (rc *recovery) resumeIfAbandoned(in *instance, look func() *succession.Survey) {
	word := rc.standing.Word()
	if !in.quiet.ended() || in.end.begun.Load() || time.Since(word.StoodDown) < reformPatience {
		return
	}
	reason := errors.New("it had stood down for a re-forming of the farm that came to nothing")
	switch {
	case !rc.durable():
		if look().Runs() {
			rc.resets.reset(in.server, reason)
		}
	case word.Successor == "" || word.Successor == in.server || rc.gaveUp(word.Successor) || look().Runs():
		if rc.standing.Resume(word.Successor, reformPatience) {
			rc.resets.restart(in.server, reason)
		}
	}
}

// gaveUp reports whether a successor re-forms nothing any more: it takes part in the farm again, or follows
// another one.
func (rc *recovery) gaveUp(successor string) bool {
	ctx, cancel := context.WithTimeout(rc.ctx, dialTimeout)
	defer cancel()
	r, err := rc.surveys.askReport(ctx, rc.self().cluster, successor, false)
	return err == nil && (!r.Down || r.Successor != "" && r.Successor != successor)
}
