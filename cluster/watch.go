package cluster

import (
	"context"
	"iter"
)

// Watch yields the present State at once, and the newest one whenever a member, the leader, a tag or
// readiness has changed, until ctx ends or the node is closed. States in between may be skipped, the last
// never is. Applied indexes alone are not a change.
func (n *Node) Watch(ctx context.Context) iter.Seq[State] {
	return func(yield func(State) bool) {
		for {
			changed := n.changed.Next() // before the state is read, so that nothing falls in between
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
