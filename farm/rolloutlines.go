package farm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// tellRollout has do put a release in force, and tells an operator how far that is until it is over. key is that
// of the write.
func (f *Farm) tellRollout(ctx context.Context, w http.ResponseWriter, key string,
	do func(context.Context) (configsync.Result, error)) {
	f.tell(ctx, w, key, func(ctx context.Context) (*order.ReleaseResult, error) {
		res, err := do(ctx)
		return f.resultOf(res), err
	})
}

// resultOf is what a write has led to, as operators read it.
func (f *Farm) resultOf(res configsync.Result) *order.ReleaseResult {
	out := &order.ReleaseResult{Epoch: res.Epoch, Release: res.Release, Rollout: res.Rollout,
		Restart: append([]string{}, res.Restart...)}
	if p, err := f.configs.Rollout(res.Rollout); err == nil && res.Rollout != 0 {
		out.Unconfirmed = p.Rollout.Unconfirmed
	}
	out.Before, _ = earlierRelease(f.configs.Epochs(), 0)
	return out
}

// tell is tellRollout for what has more to say of its result. It returns the error.
func (f *Farm) tell(ctx context.Context, w http.ResponseWriter, key string,
	do func(context.Context) (*order.ReleaseResult, error)) error {
	out := newLines(w)
	defer out.stillHere(operatorSign)()
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		f.followKey(ctx, out, key)
	}()
	res, err := do(ctx)
	f.awaitLastWord(ctx, key, told)
	cancel()
	<-told
	if err != nil {
		out.write(order.RolloutLine{Error: releaseError(err)})
		return err
	}
	out.write(order.RolloutLine{Result: res})
	return nil
}

// lastWord is how long it may take, after a write, until whoever leads has told how its rollout ended.
const lastWord = time.Second

// awaitLastWord waits until told is closed, which comes by itself if the write with this key began a rollout: else how
// it ended is told or not, by chance.
func (f *Farm) awaitLastWord(ctx context.Context, key string, told <-chan struct{}) {
	if p, err := f.configs.Rollout(0); err != nil || p.Rollout.Key != key {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	select {
	case <-told:
	case <-ctx.Done():
	}
}

// followKey tells how far the rollout is whose write has this key.
func (f *Farm) followKey(ctx context.Context, out *lines, key string) {
	for key != "" && ctx.Err() == nil {
		news := f.configs.Changed()
		if p, err := f.configs.Rollout(0); err == nil && p.Rollout.Key == key {
			f.followLeader(ctx, p.Rollout.ID, func(r *order.Rollout) { out.write(order.RolloutLine{Progress: r}) })
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
}

// rolloutOrder is a rollout as operators read it.
func rolloutOrder(p configsync.Progress) *order.Rollout {
	r := p.Rollout
	out := &order.Rollout{ID: r.ID, Release: r.Release, Epoch: r.Epoch, Phase: r.Phase.String(), Who: r.Who, Why: r.Why,
		Begun: r.Begun, Frozen: r.Frozen, Switched: r.Switched, Ended: r.Ended, Percent: r.Plan.Percent,
		Unconfirmed: r.Unconfirmed, By: r.By, Reason: r.Reason, Awaited: awaited(r)}
	for _, n := range p.Nodes {
		out.Nodes = append(out.Nodes, order.RolloutNode{Node: n.Node, Step: n.Step.String(), Have: n.Have, Size: n.Size,
			Unreachable: n.Unreachable, Refused: n.Refused})
	}
	return out
}

// awaited says what a rollout waits for while there are nodes that cannot be reached; "" = nothing.
func awaited(r configsync.Rollout) string {
	switch {
	case r.Phase != configsync.PhaseStaging:
		return ""
	case r.Plan.Unreachable == configsync.Fence:
		return "waiting until it has certainly stopped to serve"
	case time.Since(r.Begun) < r.Plan.Wait:
		return fmt.Sprintf("waiting for it for %v", r.Plan.Wait)
	}
	return ""
}

// releaseError is an error about releases as operators read it.
func releaseError(err error) *order.ReleaseError {
	kind := order.KindFailed
	for _, k := range []struct {
		err  error
		kind string
	}{
		{configsync.ErrConflict, order.KindConflict},
		{configsync.ErrOverwrites, order.KindOverwrite}, {configsync.ErrBusy, order.KindBusy},
		{configsync.ErrRefused, order.KindRefused}, {configsync.ErrReturned, order.KindReturned},
		{configsync.ErrNoEpoch, order.KindMissing}, {configsync.ErrNoRelease, order.KindMissing},
		{configsync.ErrContentOnly, order.KindRefused},
		{configsync.ErrEnded, order.KindMissing}, {configsync.ErrTooLarge, order.KindInvalid},
		{configsync.ErrUncertain, order.KindUncertain}, {cluster.ErrNoLeader, order.KindNoQuorum},
		{configsync.ErrClosed, order.KindStopping}, {cluster.ErrOverloaded, order.KindOverloaded},
		{context.Canceled, order.KindUncertain}, {context.DeadlineExceeded, order.KindUncertain},
		{credential.ErrUnknown, order.KindUnauthorized}, {credential.ErrExpired, order.KindUnauthorized},
		{credential.ErrRevoked, order.KindUnauthorized},
	} {
		if errors.Is(err, k.err) {
			kind = k.kind
			break
		}
	}
	if _, wrong := errors.AsType[configsync.Problems](err); wrong && kind == order.KindFailed {
		kind = order.KindInvalid
	}
	return &order.ReleaseError{Kind: kind, Text: plainly(err)}
}

// plainly returns what an error of the releases says to people, who do not know of packages.
func plainly(err error) string { return strings.TrimPrefix(err.Error(), "configsync: ") }

// planOf reads a plan.
func planOf(o order.RolloutPlan) (p configsync.Plan, err error) {
	switch o.Unreachable {
	case "", "proceed":
	case "fence":
		p.Unreachable = configsync.Fence
	case "refuse":
		p.Unreachable = configsync.Refuse
	default:
		return p, fmt.Errorf("%q is none of proceed, fence and refuse", o.Unreachable)
	}
	if p.Restart, err = howOf(o.Restart); err != nil {
		return p, err
	}
	p.MinReady = o.MinReady
	for _, d := range []struct {
		text string
		to   *time.Duration
	}{{o.Wait, &p.Wait}, {o.Stage, &p.Stage}, {o.Confirm, &p.Confirm}, {o.Bake, &p.Bake},
		{o.Strict, &p.Strict}} {
		if d.text == "" || d.to == &p.Confirm && d.text == "none" {
			continue
		}
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to < 0 {
			return p, fmt.Errorf("%q is no length of time, such as 30s", d.text)
		}
		if d.to == &p.Strict && *d.to == 0 { // which is not Strict
			return p, errors.New("requests can be held for 1ms at least, and not for no time")
		}
	}
	if o.Confirm == "none" {
		p.Confirm = -1
	}
	return p, nil
}
