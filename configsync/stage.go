package configsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Vote is what a node says to a release that it was to make ready.
type Vote struct {
	Node    string
	Rollout uint64
	Digest  [32]byte // of what is ready here
	Refused string   // why it is not; "" = it is
}

// Stage makes the release of a rollout ready on this node, so that the switch is the swap of a pointer: it
// checks what the release needs, reads its files with the types of this program, and runs the hooks. It
// may be called again, and then returns the same without doing it again. progress, which may be nil, is told
// how far it is.
//
// A refusal is a Vote. Errors, which say that there is none: ErrEnded, ErrClosed, or ctx's own.
func (m *Manager) Stage(ctx context.Context, rollout uint64, progress func(NodeProgress)) (Vote, error) {
	return m.staging.stage(ctx, rollout, progress)
}

// staging makes releases ready on this node, one after the other.
type staging struct {
	*base
	reading    *reading
	supply     *supply
	stock      *stock
	switching  *switching
	board      *board
	selfChecks *selfChecks
	turn       chan struct{} // has room for one: who makes something ready
}

// stage is Manager.Stage.
func (sg *staging) stage(ctx context.Context, rollout uint64, progress func(NodeProgress)) (Vote, error) {
	v := Vote{Node: sg.settings.Node, Rollout: rollout}
	r, err := sg.awaitRollout(ctx, rollout)
	if err != nil {
		return v, err
	}
	ctx, cancel := sg.whileStaging(ctx, r.ID)
	defer cancel()
	tell := sg.board.teller(r, progress)
	sg.switching.settled() // a node that comes late has to be where the others are first
	source := sg.state()
	release, _ := source.Release(r.Release)
	v.Digest = source.Digest(release)
	manifest, err := sg.bring(ctx, source, release, tell)
	for errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		sleep.For(ctx, askAgain)
		manifest, err = sg.bring(ctx, source, release, tell)
	}
	if err == nil {
		err = sg.makeReady(ctx, source, release, manifest, tell, r.ID)
	}
	switch {
	case ctx.Err() != nil:
		return v, context.Cause(ctx)
	case errors.Is(err, ErrEnded):
		return v, err
	case err != nil:
		v.Refused = cut(err.Error(), state.MaxReason)
		tell(NodeProgress{Refused: v.Refused})
	default:
		tell(NodeProgress{Step: StepReady})
	}
	return v, nil
}

// makeReady does what Stage does once the content is here.
func (sg *staging) makeReady(ctx context.Context, source *state.State, r Release, manifest *content.Manifest,
	tell func(NodeProgress), rollout uint64) error {
	if by, _ := source.Rollout(rollout); by.Plan.Percent > 0 && sg.settings.Pins == nil {
		return errors.New("this node pins no clients to releases, and cannot tell those of a share from others")
	}
	if err := sg.takeTurn(ctx); err != nil {
		return err
	}
	defer sg.giveTurn()
	st, err := sg.build(ctx, source, r, manifest, tell)
	for again := 0; errors.Is(err, errKeyToCome) && again < 10 && ctx.Err() == nil; again++ {
		sleep.For(ctx, time.Second)
		st, err = sg.build(ctx, source, r, manifest, tell)
	}
	if err != nil {
		return err
	}
	tell(NodeProgress{Step: StepValidated})
	sg.selfChecks.checkBefore(ctx, st, rollout)
	return sg.switching.prepare(ctx, st, rollout)
}

// awaitRollout waits until this node knows a rollout.
func (sg *staging) awaitRollout(ctx context.Context, id uint64) (r Rollout, err error) {
	err = sg.await(ctx, func() bool {
		sg.switching.refresh()
		s := sg.state()
		r, _ = s.Rollout(id)
		return r.ID == id || s.Newest().ID > id
	})
	if err == nil && (r.ID != id || r.Phase != PhaseStaging) {
		err = fmt.Errorf("%w: %d", ErrEnded, id)
	}
	return r, err
}

// takeTurn waits for this caller's turn to make something ready, which giveTurn ends.
func (sg *staging) takeTurn(ctx context.Context) error {
	select {
	case sg.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (sg *staging) giveTurn() { <-sg.turn }

// unasked makes a release ready, but for the hooks, for which no rollout asks. Until done is called, nothing else is
// made ready.
func (sg *staging) unasked(ctx context.Context, source *state.State, r Release) (st *staged, done func(), err error) {
	quiet := func(NodeProgress) {}
	manifest, err := sg.bring(ctx, source, r, quiet)
	if err == nil {
		err = sg.takeTurn(ctx)
	}
	if err != nil {
		return nil, func() {}, err
	}
	st, err = sg.build(ctx, source, r, manifest, quiet)
	return st, sg.giveTurn, err
}

// bring brings the content of a release here, and returns its manifest; nil for none, and if build has something
// against the release, or needs nothing any more. It is called before takeTurn: content that is not to be had, or
// comes slowly, must not keep another release from being made ready, since that may be the one that mends it.
func (sg *staging) bring(ctx context.Context, source *state.State, r Release, tell func(NodeProgress)) (
	*content.Manifest, error) {
	if sg.stock.get(source.Digest(r)) != nil || sg.supply.signed(r.Content) != nil || sg.meets(r.Needs) != nil {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	manifest, err := sg.supply.fetch(ctx, r.Content, tell)
	if err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	return manifest, nil
}

// build makes a release ready, but for the hooks. What can never be used is remembered as such. manifest is what
// bring has returned.
func (sg *staging) build(ctx context.Context, source *state.State, r Release, manifest *content.Manifest,
	tell func(NodeProgress)) (*staged, error) {
	if err := sg.supply.signed(r.Content); err != nil { // the digest does not say whether it is
		return nil, fmt.Errorf("content: %w", err)
	}
	d := source.Digest(r)
	if st := sg.stock.get(d); st != nil {
		return st, st.wrong
	}
	if err := sg.meets(r.Needs); err != nil {
		return sg.switching.add(&staged{digest: d, wrong: err})
	}
	if manifest == nil { // it was ready when bring looked, if there is any
		var err error
		if manifest, err = sg.supply.fetch(ctx, r.Content, tell); err != nil {
			return nil, fmt.Errorf("content: %w", err)
		}
	}
	tell(NodeProgress{Step: StepFetched})
	values, wrong, err := sg.reading.judge(ctx, filesOf(source, r.Revision))
	if err != nil {
		return nil, err
	}
	shown := sg.supply.show(manifest)
	if wrong == nil {
		if err := sg.supply.checkContent(ctx, "content", shown); err != nil {
			return nil, fmt.Errorf("content: %w", err)
		}
	}
	return sg.switching.add(&staged{digest: d, values: values, shown: shown, wrong: wrong})
}

// meets says why this program cannot use a release; nil if it can.
func (sg *staging) meets(n Needs) error {
	if err := CheckProgram(sg.settings.Program, n.Program); err != nil {
		return err
	}
	if sg.settings.Level > 0 && n.Level > sg.settings.Level {
		return fmt.Errorf("the release needs protocol level %d; this program speaks %d", n.Level, sg.settings.Level)
	}
	return nil
}
