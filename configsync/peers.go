package configsync

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// Member is a node of the farm that serves with this program, this one too.
type Member struct {
	Name      string
	Role      string // ordinary, front or staging; "" = ordinary
	Reachable bool   // as far as is known
	Strict    bool   // its program knows Strict rollouts
	GivenUp   bool   // it was silent for so long that the farm goes on without it
}

// Peers are the members of a farm, as one of them sees them. Methods are called concurrently.
type Peers interface {
	// Members returns all members whose readiness counts, reachable or not.
	Members() []Member

	// Leads reports whether this node is the one that carries rollouts on. If several say so, or none for a
	// while, nothing is wrong: every step is done once, or later.
	Leads() bool

	// Stage has a member, which may be this one, do Manager.Stage. An error says that it gave no vote; it is
	// asked again for as long as it counts. progress may be called until Stage returns.
	Stage(ctx context.Context, member string, rollout uint64, progress func(NodeProgress)) (Vote, error)

	// Confirm has a member do Manager.Confirm. An error says that it gave no answer.
	Confirm(ctx context.Context, member string, rollout uint64) (Health, error)

	// Hold has a member, which may be this one, do Manager.Hold. It is asked again after an error.
	Hold(ctx context.Context, member string, rollout uint64) error

	// Unseen returns names of nodes that may serve, as far as is known, and that Members says nothing of: this node has
	// not seen them since it began, or another one has their name. Of all that have become members before what this
	// node's machine has of the log, each is in Members, or in Unseen, or has left.
	Unseen() []string
}

// alone stands for the peers of a Manager that has none.
type alone struct {
	*base
	staging    *staging
	holding    *holding
	selfChecks *selfChecks

	mu   sync.Mutex
	mine map[uint64]bool      // rollouts that this Manager has begun; guarded by mu
	seen map[uint64]time.Time // when others were seen first; guarded by mu
}

func newAlone(b *base, sg *staging, h *holding, sc *selfChecks) *alone {
	return &alone{base: b, staging: sg, holding: h, selfChecks: sc, mine: map[uint64]bool{}, seen: map[uint64]time.Time{}}
}

// orphan is how long a rollout that somebody else has begun is left to him.
const orphan = 10 * time.Second

func (a *alone) began(rollout uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mine[rollout] = true
}

func (a *alone) Members() []Member {
	return []Member{{Name: cmp.Or(a.settings.Node, "this"), Role: a.settings.Role, Reachable: true, Strict: true}}
}

func (a *alone) Leads() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.state().InProgress()
	if !ok {
		clear(a.mine)
		clear(a.seen)
		return false
	}
	if _, known := a.seen[r.ID]; !known {
		a.seen[r.ID] = time.Now()
	}
	return a.mine[r.ID] || time.Since(a.seen[r.ID]) > orphan
}

func (a *alone) Stage(ctx context.Context, _ string, rollout uint64, progress func(NodeProgress)) (Vote, error) {
	return a.staging.stage(ctx, rollout, progress)
}

func (a *alone) Confirm(ctx context.Context, _ string, rollout uint64) (Health, error) {
	return a.selfChecks.confirm(ctx, rollout)
}

func (a *alone) Hold(ctx context.Context, _ string, rollout uint64) error {
	return a.holding.hold(ctx, rollout)
}

func (a *alone) Unseen() []string { return nil }
