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
	v := Vote{Node: m.s.Node, Rollout: rollout}
	r, err := m.awaitRollout(ctx, rollout)
	if err != nil {
		return v, err
	}
	ctx, cancel := m.whileStaging(ctx, r.ID)
	defer cancel()
	tell := m.teller(r, progress)
	m.settled() // a node that comes late has to be where the others are first
	source := m.s.Local().State()
	release, _ := source.Release(r.Release)
	v.Digest = source.Digest(release)
	manifest, err := m.bring(ctx, source, release, tell)
	for errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		sleep.For(ctx, askAgain)
		manifest, err = m.bring(ctx, source, release, tell)
	}
	if err == nil {
		err = m.makeReady(ctx, source, release, manifest, tell, r.ID)
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
func (m *Manager) makeReady(ctx context.Context, source *state.State, r Release, manifest *content.Manifest,
	tell func(NodeProgress), rollout uint64) error {
	if err := m.lockStaging(ctx); err != nil {
		return err
	}
	defer m.unlockStaging()
	st, err := m.make(ctx, source, r, manifest, tell)
	for again := 0; errors.Is(err, errKeyToCome) && again < 10 && ctx.Err() == nil; again++ {
		sleep.For(ctx, time.Second)
		st, err = m.make(ctx, source, r, manifest, tell)
	}
	if err != nil {
		return err
	}
	tell(NodeProgress{Step: StepValidated})
	m.checkBefore(ctx, st, rollout)
	return m.prepare(ctx, st, rollout)
}

// awaitRollout waits until this node knows a rollout.
func (m *Manager) awaitRollout(ctx context.Context, id uint64) (r Rollout, err error) {
	err = m.await(ctx, func() bool {
		m.refresh()
		s := m.s.Local().State()
		r, _ = s.Rollout(id)
		return r.ID == id || s.Newest().ID > id
	})
	if err == nil && (r.ID != id || r.Phase != PhaseStaging) {
		err = fmt.Errorf("%w: %d", ErrEnded, id)
	}
	return r, err
}

// whileStaging returns a context that ends, with ErrEnded as the cause, when a rollout is no longer staging.
func (m *Manager) whileStaging(ctx context.Context, id uint64) (context.Context, context.CancelFunc) {
	return m.while(ctx, func() bool {
		r, ok := m.s.Local().State().InProgress()
		return ok && r.ID == id && r.Phase == PhaseStaging
	})
}

func (m *Manager) lockStaging(ctx context.Context) error {
	select {
	case m.staging <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *Manager) unlockStaging() { <-m.staging }

// bring brings the content of a release here, and returns its manifest; nil for none, and if make has something
// against the release, or needs nothing any more. It is called before lockStaging: content that is not to be had, or
// comes slowly, must not keep another release from being made ready, since that may be the one that mends it.
func (m *Manager) bring(ctx context.Context, source *state.State, r Release, tell func(NodeProgress)) (
	*content.Manifest, error) {
	m.mu.Lock()
	st := m.ready[source.Digest(r)]
	m.mu.Unlock()
	if st != nil || m.signed(r.Content) != nil || m.meets(r.Needs) != nil {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	manifest, err := m.fetch(ctx, r.Content, tell)
	if err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	return manifest, nil
}

// make makes a release ready, but for the hooks. What can never be used is remembered as such. manifest is what
// bring has returned.
func (m *Manager) make(ctx context.Context, source *state.State, r Release, manifest *content.Manifest,
	tell func(NodeProgress)) (*staged, error) {
	if err := m.signed(r.Content); err != nil { // the digest does not say whether it is
		return nil, fmt.Errorf("content: %w", err)
	}
	d := source.Digest(r)
	m.mu.Lock()
	st := m.ready[d]
	m.mu.Unlock()
	if st != nil {
		return st, st.wrong
	}
	if err := m.meets(r.Needs); err != nil {
		return m.remember(&staged{digest: d, wrong: err})
	}
	if manifest == nil { // it was ready when bring looked, if there is any
		var err error
		if manifest, err = m.fetch(ctx, r.Content, tell); err != nil {
			return nil, fmt.Errorf("content: %w", err)
		}
	}
	tell(NodeProgress{Step: StepFetched})
	files := filesOf(source, r.Revision)
	m.tryAgain.Store(false)
	values, err := call(ctx, &m.strays, errand{what: "values", limit: codeTime},
		func(context.Context) ([]*value, error) { return m.values(files) }, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	switch ps := (Problems)(nil); {
	case err == nil:
	case m.tryAgain.Load():
		return nil, fmt.Errorf("%w: %w", errKeyToCome, err)
	case !errors.As(err, &ps):
		m.sayPanic("checking the configuration", err)
		return nil, fmt.Errorf("checking the configuration: %w", err) // it may go better another time
	}
	shown := m.show(manifest)
	if err == nil {
		if err := m.checkContent(ctx, "content", shown); err != nil {
			return nil, fmt.Errorf("content: %w", err)
		}
	}
	return m.remember(&staged{digest: d, values: values, shown: shown, wrong: err})
}

// errKeyToCome says that a key which the files need has not come yet.
var errKeyToCome = errors.New("a key for secrets has not come to this node yet")

// meets says why this program cannot use a release; nil if it can.
func (m *Manager) meets(n Needs) error {
	if err := CheckProgram(m.s.Program, n.Program); err != nil {
		return err
	}
	if m.s.Level > 0 && n.Level > m.s.Level {
		return fmt.Errorf("the release needs protocol level %d; this program speaks %d", n.Level, m.s.Level)
	}
	return nil
}
