package configsync

import (
	"context"
	"time"
)

// tell says to all who wait for news that there is some.
func (m *Manager) tell() { m.news.Notify() }

// Changed returns a channel that is closed when something has happened: another state of the log, a release
// that is ready here, progress of a rollout. Take it before you look.
func (m *Manager) Changed() <-chan struct{} { return m.news.Next() }

// await returns nil when something is so, or ctx's error, or ErrClosed.
func (m *Manager) await(ctx context.Context, so func() bool) error {
	for {
		news := m.Changed()
		if so() {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-m.ctx.Done():
			return ErrClosed
		}
	}
}

// while returns a context that ends when something is no longer so, or the Manager is closed. stop has to be
// called.
func (m *Manager) while(parent context.Context, so func() bool) (ctx context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	over := make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			news := m.Changed()
			if !so() {
				cancel(ErrEnded)
				return
			}
			select {
			case <-news:
			case <-tick.C:
			case <-ctx.Done():
				return
			case <-m.ctx.Done():
				cancel(ErrClosed)
				return
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled); <-over }
}
