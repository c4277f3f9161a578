package cluster

import (
	"context"
	"iter"
	"sync"
)

// broadcast tells any number of watchers that something changed. It never blocks and carries no values:
// watchers look for themselves, so a slow one misses nothing but intermediate states.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{} // closed at the next change; nil if nobody has asked since the last
}

// next returns a channel that is closed at the next change.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// Watch yields the present State at once, and the newest one whenever a member, the leader, a tag or
// readiness has changed, until ctx ends or the node is closed. States in between may be skipped, the last
// never is. Applied indexes alone are not a change.
func (n *Node) Watch(ctx context.Context) iter.Seq[State] {
	return func(yield func(State) bool) {
		for {
			changed := n.changed.next() // before the state is read, so that nothing falls in between
			if !yield(n.State()) {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-n.stopped:
				return
			}
		}
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
