package configsync

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// base is what the parts of a Manager have in common. It knows none of them. After New only the settings' machine
// changes, by itself; strays and news have locks of their own, under which no other is taken.
type base struct {
	settings Settings // with the defaults filled in
	log      *slog.Logger
	declared []*declaration
	strays   strays
	news     broadcast.Signal // of whatever happens
	ctx      context.Context  // ends with Close
}

// newBase returns what Settings say. Peers may still be nil.
func newBase(s Settings) (*base, error) {
	ds, err := declarations(s.Configs)
	if err != nil {
		return nil, err
	}
	for _, h := range s.Prepare {
		if h.d == nil || !slices.Contains(ds, h.d) {
			return nil, errors.New("configsync: a hook in Settings.Prepare is of no config that is listed")
		}
	}
	s.Role = cmp.Or(s.Role, ordinary)
	if s.Local == nil {
		empty := state.NewMachine(nil)
		s.Local = func() *Machine { return empty }
	}
	return &base{settings: s, log: cmp.Or(s.Logger, slog.Default()), declared: ds}, nil
}

// state returns what this node knows of the log.
func (b *base) state() *state.State { return b.settings.Local().State() }

// tell says to all who wait for news that there is some.
func (b *base) tell() { b.news.Notify() }

// changed is Manager.Changed.
func (b *base) changed() <-chan struct{} { return b.news.Next() }

// await returns nil when something is so, or ctx's error, or ErrClosed.
func (b *base) await(ctx context.Context, so func() bool) error {
	for {
		news := b.changed()
		if so() {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.ctx.Done():
			return ErrClosed
		}
	}
}

// while returns a context that ends when something is no longer so, or the Manager is closed. stop has to be
// called.
func (b *base) while(parent context.Context, so func() bool) (ctx context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	over := make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			news := b.changed()
			if !so() {
				cancel(ErrEnded)
				return
			}
			select {
			case <-news:
			case <-tick.C:
			case <-ctx.Done():
				return
			case <-b.ctx.Done():
				cancel(ErrClosed)
				return
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled); <-over }
}

// whileStaging returns a context that ends, with ErrEnded as the cause, when a rollout is no longer staging.
func (b *base) whileStaging(ctx context.Context, id uint64) (context.Context, context.CancelFunc) {
	return b.while(ctx, func() bool {
		r, ok := b.state().InProgress()
		return ok && r.ID == id && r.Phase == PhaseStaging
	})
}
