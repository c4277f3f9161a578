package cluster

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// A run of a node is one process. What a run had to itself may go to another as soon as it is certain that
// the process is over. Gossip's word that a run is dead is no such certainty, since it also says so of one
// that is cut off. These are:
//
//   - The run said goodbye, which it does when its part in the farm has ended.
//   - A later run of the node has its data directory, which it locks, or its address. With a data directory
//     each run knows by itself that the earlier ones of its node are over.
//   - The system at its address refuses connections: no process has the port. A firewall that answers in the
//     name of a host, by a reset, forges that.
//
// A connection is kept to the process, so that its end is noticed at once.

// endPause is how long to wait before a run is looked for again.
const endPause = 250 * time.Millisecond

// Run returns what names this run of this node's program, and no other one, ever. The others know it by
// Running and AwaitEnd.
func (n *Node) Run() string { return n.gossipName() }

// Running reports whether a run of a node seems to be there: gossip hears of it.
func (n *Node) Running(run string) bool {
	s := n.directory.Run(run)
	return run == n.gossipName() || s != nil && s.Status == roster.Alive
}

// AwaitEnd returns nil once it is certain that a run's process is over, as far as a farm can be certain of
// that: it said goodbye, another process has its place, or the system at its address refuses connections.
// While a run is cut off, or stands still, it waits. Of a run that nobody knows any more nothing is certain.
//
// Errors: the context's, ErrClosed.
func (n *Node) AwaitEnd(ctx context.Context, run string) error {
	if node, _, _ := strings.Cut(run, "."); node == n.id && run != n.gossipName() && n.durable() {
		return nil
	}
	var s *roster.Sighting // the last that was heard of it: it is forgotten when the node runs again
	for {
		changed := n.changed.next() // before it is looked at, so that nothing falls in between
		if now := n.directory.Run(run); now != nil {
			s = now
		}
		if s != nil && n.over(ctx, s, changed) {
			return nil
		}
		switch {
		case n.ctx.Err() != nil:
			return ErrClosed
		case !sleep.For(ctx, endPause):
			return ctx.Err()
		}
	}
}

// over reports whether a run has certainly ended, after the time that a connection to it lasts, or until
// there is news.
func (n *Node) over(ctx context.Context, s *roster.Sighting, changed <-chan struct{}) bool {
	if n.replaced(s) {
		return true
	}
	c, err := n.peers.Get(ctx, s.Node)
	if err == nil {
		select {
		case <-c.Ended():
			_, err = n.peers.Get(ctx, s.Node)
		case <-changed:
		case <-ctx.Done():
		}
	}
	return errors.Is(err, syscall.ECONNREFUSED) && n.directory.Addr(s.Node) == s.Addr
}

// replaced reports whether a run has certainly ended by what gossip says of its node.
func (n *Node) replaced(s *roster.Sighting) bool {
	if s.SaidGoodbye() {
		return true
	}
	now := n.directory.Get(s.Node)
	return now != nil && now.Gossip != s.Gossip && now.Status == roster.Alive && now.Start > s.Start &&
		(now.Durable && s.Durable || now.Addr == s.Addr)
}
