package farm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward"
)

const (
	beatEvery = 100 * time.Millisecond

	// maxPause is for how long a process may not run without being taken for one that was left behind. The others
	// take a node for dead, and go on without it, after a second of silence at the least.
	maxPause = 750 * time.Millisecond

	proveTimeout = 2 * time.Second // for how long a request waits until that is known
)

// pulse notices when this process has not run for a while: it was stopped by a signal, its machine was
// suspended, or got no processor. Such a node may have been left behind without having lost contact by its
// own reckoning, and a request can reach a handler before anything else of it runs.
type pulse struct {
	last   atomic.Pointer[time.Time] // when it ran last, as far as is known
	paused atomic.Bool               // it did not run, and nothing has proved since that it missed nothing
	alone  atomic.Bool               // it ran without contact before: a pause on top of that changes nothing
}

// beat notes that the process runs.
func (p *pulse) beat(now time.Time) {
	if was := p.last.Load(); was != nil && elapsed(*was, now) > maxPause {
		p.paused.Store(true)
	}
	p.last.Store(&now)
}

// ran reports whether the process has run all the time.
func (p *pulse) ran(now time.Time) bool {
	was := p.last.Load()
	return !p.paused.Load() && (was == nil || elapsed(*was, now) <= maxPause)
}

// elapsed returns the time between two moments by the clock that has seen more of it: the monotonic one stands
// still on Linux while a machine is suspended, and the other one may be set.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// keepPulse lets this process's pulse beat.
func (f *Farm) keepPulse() {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.pulse.beat(time.Now())
			if !f.pulse.paused.Load() {
				f.pulse.alone.Store(f.isolated())
			}
		case <-f.done.Done():
			return
		}
	}
}

// provePresent returns nil once this node has everything that was acknowledged before the call; and also if it has no
// contact, and had none before it was paused either: then it goes on as a node that is alone does.
func (f *Farm) provePresent(ctx context.Context) error {
	f.pulse.beat(time.Now())
	if !f.pulse.paused.Load() {
		return nil // somebody else has proved it
	}
	ctx, cancel := context.WithTimeout(ctx, proveTimeout)
	defer cancel()
	err := f.node.Handle(machineConfig).Barrier(ctx)
	if err != nil && !f.pulse.alone.Load() {
		return err
	}
	if f.pulse.paused.Swap(false) {
		f.log.Warn("this process did not run for a while", "caught_up", err == nil)
	}
	return nil
}

// present is the middleware that lets no request through to the application while a Strict rollout holds them, nor on
// a node that may have been left behind, nor one of a strict route on a node that is isolated: another one has to answer then.
func (f *Farm) present(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// First of all: what is looked at below, and behind it, is what was in force when the request began, or later.
		if err := f.configs.Enter(r.Context()); err != nil {
			f.elsewhere(w, r, fmt.Errorf("the request was held: %w", err))
			return
		}
		a := &beginning{ResponseWriter: w, count: f.configs}
		defer a.over()
		w = a
		if !f.pulse.ran(time.Now()) {
			if err := f.provePresent(r.Context()); err != nil {
				f.elsewhere(w, r, fmt.Errorf("this process did not run for a while, and does not know yet what it "+
					"has missed: %w", err))
				return
			}
		}
		if err := f.awaitUsable(r.Context()); err != nil {
			f.elsewhere(w, r, fmt.Errorf("this node cannot use what is in force: %w", err))
			return
		}
		if f.isolated() && f.gate.Strict(r) {
			f.elsewhere(w, r, errors.New("this node has no contact to a majority of the farm, and the route is strict"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// awaitUsable returns nil if this node uses what is in force, or does so shortly: most often that takes as long as a
// peer's answer does. The error says why not.
func (f *Farm) awaitUsable(ctx context.Context) error {
	if f.configs.Usable() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shortly)
	defer cancel()
	if f.configs.AwaitUsable(ctx) == nil {
		return nil
	}
	return f.configs.Usable() // nil, if that has come at this moment
}

// maxSilence is for how long a node may be without proof that it has what the farm has, before it is isolated.
const maxSilence = 10 * time.Second

// isolated reports whether this node has had no contact for so long that it knows that it is alone.
func (f *Farm) isolated() bool { return f.node.Handle(machineConfig).Staleness() > maxSilence }

// elsewhere has another node answer a request; if there is none, the client is told to try again.
func (f *Farm) elsewhere(w http.ResponseWriter, r *http.Request, why error) {
	if forward.Decline(r) {
		return
	}
	forward.ServeProblem(w, r, forward.Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This node is catching up. Please try again in a moment.", Err: why})
}
