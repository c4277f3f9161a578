package configsync

import (
	"context"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

const (
	askAgain   = time.Second            // how long after a node gave no answer it is asked again
	decideTick = 200 * time.Millisecond // how often members are looked at
	linger     = 2 * time.Second        // how long others are still heard after the first refusal
	stepTime   = 10 * time.Second       // for the log to take a step

	// silence is after how long without contact a node has noticed that it is alone.
	silence = 10*time.Second + 100*time.Millisecond
)

// driver carries on rollouts, as long as it is for this node to do so. Every node has it.
type driver struct {
	*base
	board     *board
	holding   *holding
	proposing *proposing
}

// run does so until the Manager is closed.
func (dv *driver) run() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	seen := sight{}
	for {
		news := dv.changed()
		r, ok := dv.state().InProgress()
		if ok && (!r.Plan.Dry || seen.forgotten(r)) && dv.settings.Peers.Leads() {
			dv.carryOn(r)
		}
		select {
		case <-news:
		case <-tick.C:
		case <-dv.ctx.Done():
			return
		}
	}
}

// carryOn does one step of a rollout. It returns when that is done, or when it is not for this node to do it.
func (dv *driver) carryOn(r Rollout) {
	ctx, stop := dv.while(dv.ctx, func() bool {
		now, ok := dv.state().InProgress()
		return ok && now.ID == r.ID && now.Phase == r.Phase && now.Frozen.Equal(r.Frozen) && dv.settings.Peers.Leads()
	})
	defer stop()
	if r.Phase == PhaseConfirming {
		dv.confirmOrReturn(ctx, r)
		return
	}
	if r.Plan.Dry {
		dv.abort(ctx, r, "dry run: who has begun it has not ended it")
		return
	}
	if !r.Frozen.IsZero() {
		dv.switchHeld(ctx, r)
		return
	}
	switch ready, absent, why := newBallot(dv.base, dv.board, r).gather(ctx); {
	case ctx.Err() != nil:
	case why != "":
		dv.abort(ctx, r, why)
	case r.Plan.Strict > 0:
		dv.freeze(ctx, r, ready)
	default:
		dv.activate(ctx, r, ready, absent)
	}
}

func (dv *driver) activate(ctx context.Context, r Rollout, ready, absent []string) {
	dv.proposing.step(ctx, true, state.Activate{Rollout: r.ID, Ready: ready, Unconfirmed: absent}.Append(nil))
}

func (dv *driver) abort(ctx context.Context, r Rollout, why string) {
	cmd := state.Abort{Rollout: r.ID, Who: dv.settings.Node, Why: cut(why, state.MaxReason)}
	dv.proposing.step(ctx, false, cmd.Append(nil))
}

func (dv *driver) confirm(ctx context.Context, r Rollout) {
	dv.proposing.step(ctx, false, state.Confirm{Rollout: r.ID, Who: dv.settings.Node}.Append(nil))
}

func (dv *driver) giveBack(ctx context.Context, r Rollout, why string) {
	cmd := state.Return{Rollout: r.ID, Who: dv.settings.Node, Why: cut(why, state.MaxReason)}
	dv.proposing.step(ctx, true, cmd.Append(nil))
}

// cut returns text that the log takes: so many bytes at most, of UTF-8.
func cut(s string, most int) string {
	if s = strings.ToValidUTF8(s, "\uFFFD"); len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}
