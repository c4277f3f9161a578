package configsync

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Enter has a request begin. While a Strict rollout holds requests it waits for the end of that, and what the request
// sees is decided then: call it before anything of the request looks at what is in force, Usable included, and on the
// node alone that runs its handler. After nil, call Answered once.
//
// The error is ErrHeld if the end does not come in time, since this node does not reach the log: another node has to
// answer then, or nobody. Else it is ctx's error, or ErrClosed.
func (m *Manager) Enter(ctx context.Context) error { return m.holding.enter(ctx) }

// Answered says that a request which Enter let through has an answer that has begun on its way to the client, or will
// have none. It may go on for as long as it likes.
func (m *Manager) Answered() { m.holding.running.Add(-1) }

// Hold returns nil when this node holds requests for a Strict rollout, and each that has begun before is answered: until
// the log says how the rollout goes on, no request begins here, whatever becomes of this process. Errors: ErrEnded,
// ErrClosed, or ctx's own, with how many requests are not answered.
func (m *Manager) Hold(ctx context.Context, rollout uint64) error {
	return m.holding.hold(ctx, rollout)
}

// holding lets requests begin, or holds them, as the log says.
type holding struct {
	*base
	proposing *proposing
	running   atomic.Int64 // requests that have begun, and are not answered
	kept      atomic.Int64 // requests that were held since the last freeze

	mu   sync.Mutex
	seen sight // for which rollout requests are held, and since when this node knows; guarded by mu
}

const (
	heldTick = time.Millisecond // how often a node looks whether all that has begun is answered

	// overtime is how long after the time for it any node has a hold ended. Who leads does so at once, and knows more.
	overtime = 250 * time.Millisecond

	// patienceHeld is for how long after that requests are kept: the end comes by the log.
	patienceHeld = time.Second
)

// enter is Manager.Enter.
func (h *holding) enter(ctx context.Context) error {
	for {
		h.running.Add(1) // before the look: who has seen none running after the freeze has seen all
		rollout, most := h.state().Frozen()
		if rollout == 0 {
			return nil
		}
		h.running.Add(-1)
		h.kept.Add(1)
		if err := h.awaitEnd(ctx, rollout, most); err != nil {
			return err
		}
	}
}

// awaitEnd waits until requests are not held any more for a rollout.
func (h *holding) awaitEnd(ctx context.Context, rollout uint64, most time.Duration) error {
	over := h.since(rollout).Add(most + patienceHeld)
	within, cancel := context.WithDeadline(ctx, over)
	defer cancel()
	err := h.await(within, func() bool { return !h.holds(rollout) })
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return fmt.Errorf("%w: rollout %d", ErrHeld, rollout)
	}
	return err
}

// holds reports whether requests are held for a rollout.
func (h *holding) holds(rollout uint64) bool {
	id, _ := h.state().Frozen()
	return id == rollout
}

// since returns since when this node knows that requests are held for a rollout.
func (h *holding) since(rollout uint64) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen.rollout != rollout {
		h.seen = sight{rollout, time.Now()}
	}
	return h.seen.since
}

// hold is Manager.Hold.
func (h *holding) hold(ctx context.Context, rollout uint64) error {
	err := h.await(ctx, func() bool {
		r, _ := h.state().Rollout(rollout)
		return h.holds(rollout) || r.Phase > PhaseStaging || h.state().Newest().ID > rollout
	})
	if err != nil {
		return fmt.Errorf("it has not heard that it is to hold requests: %w", err)
	}
	tick := time.NewTicker(heldTick)
	defer tick.Stop()
	for h.holds(rollout) {
		n := h.running.Load()
		if n == 0 { // and it stays so: see enter
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", unanswered(n), ctx.Err())
		case <-h.ctx.Done():
			return ErrClosed
		}
	}
	return fmt.Errorf("%w: %d", ErrEnded, rollout)
}

func unanswered(n int64) string {
	if n == 1 {
		return "1 request has no answer yet"
	}
	return fmt.Sprintf("%d requests have no answer yet", n)
}

// run has a hold that takes too long be ended by the log, until the Manager is closed. No node ends it by itself: the
// switch may be in the log by then.
func (h *holding) run() {
	for was := uint64(0); h.ctx.Err() == nil; {
		news := h.changed()
		again := lookEvery
		rollout, most := h.state().Frozen()
		if was != 0 && was != rollout {
			r, _ := h.state().Rollout(was)
			h.log.Info("requests were held", "rollout", was, "for", time.Since(h.since(was)).Round(time.Microsecond),
				"requests", h.kept.Swap(0), "then", r.Phase.String())
		}
		if was = rollout; rollout != 0 {
			if again = time.Until(h.since(rollout).Add(most + overtime)); again <= 0 {
				h.giveUp(rollout, most)
				again = decideTick
			}
		}
		tick := time.NewTimer(again)
		select {
		case <-news:
		case <-tick.C:
		case <-h.ctx.Done():
		}
		tick.Stop()
	}
}

// giveUp proposes the end of a hold that takes too long.
func (h *holding) giveUp(rollout uint64, most time.Duration) {
	why := []string{fmt.Sprintf("requests were held for %v, and nobody has switched", most)}
	if n := h.running.Load(); n > 0 {
		why = append(why, h.settings.Node+": "+unanswered(n))
	}
	ctx, cancel := context.WithTimeout(h.ctx, patienceHeld)
	defer cancel()
	h.proposing.step(ctx, false, state.Abort{Rollout: rollout, Who: h.settings.Node,
		Why: cut(strings.Join(why, "; "), state.MaxReason)}.Append(nil))
}
