package configsync

import (
	"context"
	"iter"
)

// Version is a value, and the epoch it came with.
type Version[T any] struct {
	Value *T
	Epoch uint64
}

// Follow yields the value that is in force now, outside of sections, and then every other one when it comes
// into force, until ctx ends. Whoever is slow gets the newest, and not all that were between: no state is
// missed, only steps to it. Epochs that do not change this config are left out.
//
//	for v := range site.Follow(manager.Context(ctx)) {
//		pool.Resize(v.Value.Workers)
//	}
func (c Config[T]) Follow(ctx context.Context) iter.Seq[Version[T]] {
	in := c.view(ctx).in
	return func(yield func(Version[T]) bool) {
		in.used(in.glance())
		var last *T
		for {
			s := in.now.Load()
			if v := c.in(s, ""); v != last {
				if last = v; !yield(Version[T]{v, s.epoch}) {
					return
				}
			}
			select {
			case <-s.replaced:
			case <-ctx.Done():
				return
			}
		}
	}
}
