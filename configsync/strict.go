package configsync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// DefaultStrict is for how long at most requests are held by a Strict rollout whose operator says nothing of that.
const DefaultStrict = 500 * time.Millisecond

// strictPlan returns why a plan cannot be Strict; nil if it can, or is not.
func strictPlan(p Plan, hold bool) error {
	var with string
	switch {
	case p.Strict == 0:
		return nil
	case p.Strict < time.Millisecond || p.Strict > state.MaxStrict:
		return fmt.Errorf("configsync: Strict: requests can be held for 1ms to %v, and not for %v", state.MaxStrict, p.Strict)
	case len(p.Nodes) > 0 || p.Percent > 0:
		with = "a canary, for which others see what was before"
	case p.Dry:
		with = "a dry run, which holds nothing"
	case hold:
		with = "a release that is kept for later: say it when that is activated"
	case p.Unreachable == Fence:
		with = "Fence: a node that is alone may go on to serve, so all have to be reached"
	default:
		return nil
	}
	return fmt.Errorf("configsync: Strict does not go together with %s", with)
}

// inTheWay says why a Strict rollout cannot be of this farm as it is now; "" = it can. unseen are what Unseen has said.
func (b *base) inTheWay(unseen []string) string {
	var away, older []string
	for _, m := range b.settings.Peers.Members() {
		switch {
		case m.GivenUp: // Unseen says whether it may serve
		case !m.Reachable:
			away = append(away, m.Name)
		case !m.Strict:
			older = append(older, m.Name)
		}
	}
	switch {
	case len(older) > 0:
		return fmt.Sprintf("%s: the program there knows no Strict rollouts; upgrade it, or go on without Strict",
			strings.Join(older, ", "))
	case len(away) > 0:
		return fmt.Sprintf("cannot be reached, and may serve: %s; start it, or remove it (farmctl leave -dead NAME), or "+
			"go on without Strict", strings.Join(away, ", "))
	case len(unseen) > 0:
		return fmt.Sprintf("not seen so far, and may serve: %s; start it, or remove it (farmctl leave -dead NAME), or "+
			"go on without Strict", strings.Join(unseen, ", "))
	}
	return ""
}

// strictly returns why a write may not begin a Strict rollout; nil if it may, or does not. One that is repeated has begun
// it: a node that has not heard of that must not say that nothing has changed.
func (pb *publishing) strictly(ctx context.Context, w Write, p Plan, hold bool) error {
	if err := strictPlan(p, hold); err != nil || p.Strict == 0 {
		return err
	}
	if err := pb.proposing.barrier(ctx); err != nil {
		return err
	}
	if _, done := pb.state().Written(w.Key); done {
		return nil
	}
	var unseen []string
	if pb.settings.Peers.Leads() { // which is told what operators have removed; it looks again before anything is held
		unseen = pb.settings.Peers.Unseen()
	}
	if why := pb.inTheWay(unseen); why != "" {
		return fmt.Errorf("%w: %s", ErrRefused, why)
	}
	return nil
}

// freeze has all nodes hold requests.
func (dv *driver) freeze(ctx context.Context, r Rollout, ready []string) {
	if why := dv.inTheWay(dv.settings.Peers.Unseen()); why != "" {
		dv.abort(ctx, r, why)
		return
	}
	dv.proposing.step(ctx, true, state.Freeze{Rollout: r.ID, Ready: ready}.Append(nil))
}

// switchHeld has all nodes switch once all hold requests, or none, if that takes too long.
func (dv *driver) switchHeld(ctx context.Context, r Rollout) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hs := &holders{base: dv.base, r: r, asked: map[string]bool{}, lack: map[string]string{}, said: make(chan said)}
	over := time.NewTimer(time.Until(dv.holding.since(r.ID).Add(r.Plan.Strict)))
	defer over.Stop()
	tick := time.NewTicker(decideTick)
	defer tick.Stop()
	for {
		// Only now, since all that can serve before the freeze were members by then. Also if this node leads no more: to
		// abort is no harm, and to go on without a look is.
		if why := dv.inTheWay(dv.settings.Peers.Unseen()); why != "" {
			dv.abort(ctx, r, why)
			return
		}
		if hs.all(ctx) {
			dv.activate(ctx, r, r.Ready, nil)
			return
		}
		select {
		case s := <-hs.said:
			hs.lack[s.node] = s.lacks
		case <-tick.C:
		case <-over.C:
			dv.abort(ctx, r, listed(fmt.Sprintf("requests were held for %v, which was not enough", r.Plan.Strict), hs.late()))
			return
		case <-ctx.Done():
			return
		}
	}
}

// holders are the members that hold requests for a rollout.
type holders struct {
	*base
	r     Rollout
	asked map[string]bool
	lack  map[string]string // by name: what a member lacks; "" = it holds, and all that had begun is answered
	said  chan said
}

// said is what a member says.
type said struct{ node, lacks string }

// all reports whether all members hold. It has those asked that were not yet.
func (hs *holders) all(ctx context.Context) bool {
	all := true
	for _, m := range hs.settings.Peers.Members() {
		if !hs.asked[m.Name] {
			hs.asked[m.Name], hs.lack[m.Name] = true, "it has not said that it holds requests"
			go hs.ask(ctx, m.Name)
		}
		all = all && hs.lack[m.Name] == ""
	}
	return all && len(hs.asked) > 0
}

// late returns what members lack.
func (hs *holders) late() map[string]string {
	out := maps.Clone(hs.lack)
	maps.DeleteFunc(out, func(_, lacks string) bool { return lacks == "" })
	return out
}

// ask asks a member until it holds. It is asked for a part of the time only, so that it can say before the end what it
// waits for.
func (hs *holders) ask(ctx context.Context, node string) {
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, max(heldTick, hs.r.Plan.Strict/4))
		err := hs.settings.Peers.Hold(within, node, hs.r.ID)
		cancel()
		s := said{node: node}
		if err != nil {
			s.lacks = strings.TrimSuffix(err.Error(), ": "+context.DeadlineExceeded.Error())
		}
		select {
		case hs.said <- s:
		case <-ctx.Done():
		}
		if err == nil || errors.Is(err, ErrEnded) {
			return
		}
		sleep.For(ctx, heldTick)
	}
}
