package configsync

import (
	"context"
	"fmt"
	"net/http"

	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// StartPercentCanary has all nodes show a release that is kept to a share of the clients, of 1 to 100 percent, until it
// is given up by EndCanary or promoted by Activate. Called again for that release, it raises the share: who sees the
// release goes on to see it. It is for content: a release with other configuration than what is in force is refused,
// since that holds for all clients. Settings.Pins tell clients apart: one that keeps no cookie sees what is in force,
// and so does a new one on its first page. While there is a canary no other release can be put in force.
//
// Errors: those of Activate, ErrContentOnly, and ErrBusy for a share that is not greater than it is.
func (m *Manager) StartPercentCanary(ctx context.Context, w Write, release, percent uint64, p Plan) (Result, error) {
	if percent == 0 || percent > state.MaxPercent {
		return Result{}, fmt.Errorf("configsync: %d is no share of the clients: it is of 1 to %d percent", percent,
			state.MaxPercent)
	}
	if m.settings.Log != nil && m.state().Current().Release == release {
		return Result{}, fmt.Errorf("configsync: release %d is in force, for all clients", release)
	}
	p.Nodes, p.Percent = nil, percent
	return m.Activate(ctx, w, release, p)
}

// sharable returns why a release cannot be shown to a share of the clients; nil if it can.
func (pb *publishing) sharable(s *state.State, r Release) error {
	now, _ := s.Release(s.Current().Release)
	switch {
	case s.Sharable(r):
		return nil
	case now.Content.Root.IsZero():
		return fmt.Errorf("%w: what is in force has none, so put a release with content in force first", ErrContentOnly)
	case r.Content.Root.IsZero():
		return fmt.Errorf("%w: release %d has none", ErrContentOnly, r.ID)
	}
	return fmt.Errorf("%w: release %d has other configuration than what is in force. Show it on some nodes instead "+
		"(-nodes), or publish its content without config/", ErrContentOnly, r.ID)
}

// shareOf returns what a state shows to a share of the clients. What this node has tried to make ready in vain is not
// coming, so that nobody is sent to other nodes for it, which may lack it as well.
func (sw *switching) shareOf(source *state.State) content.Share {
	c := source.Canary()
	if c.Percent == 0 {
		return content.Share{}
	}
	r, _ := source.Release(c.Release)
	d := source.Digest(r)
	if sw.lacking == d && sw.stock.get(d) != nil {
		sw.lacking = digest{} // it can be had after all, and again should it be lost
	}
	return content.Share{Release: nameOf(r.ID), Percent: c.Percent,
		Coming: sw.stock.get(d) == nil && sw.lacking != d}
}

// sharedOf returns snapshots of the releases that a share of the clients can be shown and that are ready here, by
// what pins call them. That is not the canary alone: a client may have been shown one by a node that has heard of it
// before this one has. They have the configuration in force, since that is the same.
func (sw *switching) sharedOf(source *state.State, now *snapshot) map[string]*snapshot {
	if sw.settings.Pins == nil || now.set == nil {
		return nil
	}
	out := map[string]*snapshot{}
	for _, r := range source.Retained() {
		st := sw.stock.get(source.Digest(r))
		if r.ID == now.release.ID || r.ID == source.Current().Release || !source.Sharable(r) || st == nil ||
			st.wrong != nil || st.shown == nil || source.Disowned(r) && r.ID != source.Canary().Release {
			continue
		}
		u := lastUse(source, r)
		u.epoch, u.canary = now.epoch, true
		s := newSnapshot(source, st, u, now.problem)
		s.set = sw.setOf(source, s)
		out[nameOf(r.ID)] = s
	}
	return out
}

// lookFor returns the snapshot that a request sees: of what is in force, or of what its client's share is shown.
func (sw *switching) lookFor(r *http.Request) *snapshot {
	s := sw.look()
	if s.set == nil {
		return s
	}
	if shared := s.shared[s.set.For(r)]; shared != nil {
		return shared
	}
	return s
}

// cannotHave takes in that a release that is kept could not be made ready, if it is one that clients are sent to other
// nodes for.
func (sw *switching) cannotHave(r Release) {
	sw.mu.Lock()
	defer sw.unlock()
	source := sw.state()
	if r.ID != source.Canary().Release {
		return
	}
	sw.lacking = source.Digest(r)
	sw.switchLocked(true)
}

// sayShareLocked has what a share of the clients is shown be logged, when that changes.
func (sw *switching) sayShareLocked(was Canary, source *state.State) {
	now := source.Canary()
	switch {
	case now.Percent == was.Percent && now.Release == was.Release:
	case now.Percent > 0:
		by, _ := source.Rollout(now.Rollout)
		sw.sayLocked(func() {
			sw.log.Info("a share of the clients is shown another release", "release", now.Release, "percent", now.Percent,
				"who", by.Who, "why", by.Why)
		})
	case was.Percent > 0:
		sw.sayLocked(func() {
			sw.log.Info("all clients are shown what is in force", "epoch", source.Current().Number,
				"release", source.Current().Release)
		})
	}
}

// forShare returns a context for the self-check after the switch of a rollout, which sees what the share of the clients
// is shown, if it is for one; else ctx. ok is false if this node is not ready to show it.
func (sc *selfChecks) forShare(ctx context.Context, rollout uint64) (of context.Context, ok bool) {
	s := sc.switching.now.Load()
	r, _ := s.source.Rollout(rollout)
	shared := s.shared[nameOf(r.Release)]
	switch {
	case r.Plan.Percent == 0:
		return ctx, true
	case shared == nil:
		return ctx, false
	}
	return &view{Context: ctx, in: sc.switching, snapshot: shared, path: "/"}, true
}
