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

// drive carries on rollouts, as long as it is for this node to do so. Every node runs it.
func (m *Manager) drive() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	seen := sight{}
	for {
		news := m.Changed()
		r, ok := m.s.Local().State().InProgress()
		if ok && (!r.Plan.Dry || seen.forgotten(r)) && m.s.Peers.Leads() {
			m.carryOn(r)
		}
		select {
		case <-news:
		case <-tick.C:
		case <-m.ctx.Done():
			return
		}
	}
}

// carryOn does one step of a rollout. It returns when that is done, or when it is not for this node to do it.
func (m *Manager) carryOn(r Rollout) {
	ctx, stop := m.while(m.ctx, func() bool {
		now, ok := m.s.Local().State().InProgress()
		return ok && now.ID == r.ID && now.Phase == r.Phase && m.s.Peers.Leads()
	})
	defer stop()
	if r.Phase == PhaseConfirming {
		m.confirmOrReturn(ctx, r)
		return
	}
	if r.Plan.Dry {
		m.abort(ctx, r, "dry run: who has begun it has not ended it")
		return
	}
	switch ready, absent, why := newBallot(m, r).gather(ctx); {
	case ctx.Err() != nil:
	case why != "":
		m.abort(ctx, r, why)
	default:
		m.activate(ctx, r, ready, absent)
	}
}

func (m *Manager) activate(ctx context.Context, r Rollout, ready, absent []string) {
	m.step(ctx, true, state.Activate{Rollout: r.ID, Ready: ready, Unconfirmed: absent}.Append(nil))
}

func (m *Manager) abort(ctx context.Context, r Rollout, why string) {
	m.step(ctx, false, state.Abort{Rollout: r.ID, Who: m.s.Node, Why: cut(why, state.MaxReason)}.Append(nil))
}

func (m *Manager) confirm(ctx context.Context, r Rollout) {
	m.step(ctx, false, state.Confirm{Rollout: r.ID, Who: m.s.Node}.Append(nil))
}

func (m *Manager) giveBack(ctx context.Context, r Rollout, why string) {
	m.step(ctx, true, state.Return{Rollout: r.ID, Who: m.s.Node, Why: cut(why, state.MaxReason)}.Append(nil))
}

// cut returns text that the log takes: so many bytes at most, of UTF-8.
func cut(s string, most int) string {
	if s = strings.ToValidUTF8(s, "\uFFFD"); len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}
