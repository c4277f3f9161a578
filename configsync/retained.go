package configsync

import (
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// retryRetained is how long after a failure another attempt is made to have a release ready that is not in force.
const retryRetained = time.Minute

// retryCanary is the same for what a share of the clients is shown by the other nodes.
const retryCanary = retryRetained / 12

// canaryComes is for how long clients that have seen such a release are sent to other nodes while it is fetched. If
// no node has it, as after a restart of all, they would be answered by none as long as the fetch hangs.
const canaryComes = 10 * time.Second

// retaining makes ready, in the background, the releases that are kept besides the one in force: so that
// clients get what their pages of those need, and a switch to one fetches nothing. What is in force, and a rollout,
// go first.
type retaining struct {
	*base
	stock     *stock
	switching *switching
	usability *usability
	staging   *staging
}

// run does so until the Manager is closed.
func (rt *retaining) run() {
	tick := time.NewTicker(retryRetained / 6)
	defer tick.Stop()
	failed := map[digest]time.Time{}
	for {
		news := rt.changed()
		if r, ok := rt.lacking(failed); ok && rt.makeQuietly(r) != nil {
			failed[rt.state().Digest(r)] = time.Now()
		} else if ok {
			continue
		}
		select {
		case <-news:
		case <-tick.C:
		case <-rt.ctx.Done():
			return
		}
	}
}

// idle reports whether nothing more important than a retained release is to be made ready.
func (rt *retaining) idle() bool {
	_, running := rt.state().InProgress()
	return !running && rt.usability.problem() == nil
}

// lacking returns a release that is kept and not ready, unless that has failed a short while ago.
func (rt *retaining) lacking(failed map[digest]time.Time) (Release, bool) {
	s := rt.state()
	if _, running := s.InProgress(); running || !rt.idle() {
		return Release{}, false
	}
	for _, r := range slices.SortedStableFunc(slices.Values(s.Retained()), canaryFirst(s)) {
		d := s.Digest(r)
		again := retryRetained
		if r.ID == s.Canary().Release {
			again = retryCanary
		}
		if at, ok := failed[d]; ok && time.Since(at) < again || rt.stock.get(d) != nil {
			continue
		}
		delete(failed, d)
		return r, true
	}
	return Release{}, false
}

// canaryFirst puts the canary first: clients wait for that, or are sent to other nodes.
func canaryFirst(s *state.State) func(a, b Release) int {
	rank := func(r Release) int {
		if r.ID == s.Canary().Release {
			return 0
		}
		return 1
	}
	return func(a, b Release) int { return rank(a) - rank(b) }
}

// makeQuietly makes a release ready that is not in force, unless something more important comes.
func (rt *retaining) makeQuietly(r Release) error {
	ctx, stop := rt.while(rt.ctx, rt.idle)
	defer stop()
	late := time.AfterFunc(canaryComes, func() { rt.switching.cannotHave(r) })
	defer late.Stop()
	st, done, err := rt.staging.unasked(ctx, rt.state(), r)
	done() // before the logger, which is code of the program, is told
	if st == nil && ctx.Err() == nil {
		rt.log.Debug("a release that is not in force is not ready here; trying again later", "release", r.ID, "err", err)
		rt.switching.cannotHave(r)
	}
	if st == nil {
		return err
	}
	rt.switching.becameReady() // whoever shows it learns of it
	return nil
}
