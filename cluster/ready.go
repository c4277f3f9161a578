package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Ready returns nil once this node is a caught-up member: in the configuration, with a vote if it is to have one, and
// with everything applied that was acknowledged before. It stays ready from then on. A permanent refusal ends the wait
// with Err's error, Close with ErrClosed.
func (n *Node) Ready(ctx context.Context) error {
	for {
		changed := n.changed.next()
		if n.ready() {
			return nil
		}
		select {
		case <-changed:
		case <-n.failed:
			return n.Err()
		case <-n.stopped:
			return fmt.Errorf("cluster: ready: %w", ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("cluster: not a caught-up member yet: %w", ctx.Err())
		}
	}
}

func (n *Node) ready() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.caughtUp
}

// becomeReady looks until this node is a caught-up member.
func (n *Node) becomeReady() {
	for {
		if n.fsm().formed.Load() && n.placed() && n.registered() {
			ctx, cancel := context.WithTimeout(n.ctx, time.Second)
			err := n.barrier(ctx)
			cancel()
			if err == nil {
				break
			}
		}
		if !sleep(n.ctx, 20*time.Millisecond) {
			return
		}
	}
	n.mu.Lock()
	n.caughtUp = true
	n.mu.Unlock()
	n.changed.notify()
}

// placed reports whether this node has the place in the configuration that it is to have.
func (n *Node) placed() bool {
	s := n.situation()
	switch s.suffrage(s.self) {
	case raft.Voter:
		return true
	case raft.Nonvoter:
		return !s.promotable(s.self)
	}
	return false
}

// registered makes sure that the farm knows this run of the node before it serves anybody.
func (n *Node) registered() bool {
	in := n.instance()
	in.origin.introduce()
	return in.fsm.knows(in.origin.id)
}
