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
//   - The system at its address refuses connections: no process has the port. (A firewall that resets
//     connections in the name of a host forges that.)
//
// A connection is kept to the process, so that its end is noticed at once.

// runs tells whether a run is over. It remembers nothing.
type runs struct{ *base }

// endPause is how long to wait before a run is looked for again.
const endPause = 250 * time.Millisecond

// Run returns what names this run of this node's program, and no other one, ever. The others know it by
// Running and AwaitEnd.
func (n *Node) Run() string { return n.gossipName() }

// Running reports whether a run of a node seems to be there: gossip hears of it.
func (n *Node) Running(run string) bool { return n.runs.seen(run) }

// AwaitEnd returns nil once it is certain that a run's process is over, as far as a farm can be certain of
// that: it said goodbye, another process has its place, or the system at its address refuses connections.
// While a run is cut off, or stands still, it waits. Of a run that nobody knows any more nothing is certain.
//
// Errors: the context's, ErrClosed.
func (n *Node) AwaitEnd(ctx context.Context, run string) error { return n.runs.awaitEnd(ctx, run) }

// seen reports whether this is the run, or gossip hears of it.
func (r *runs) seen(run string) bool {
	s := r.directory.Run(run)
	return run == r.gossipName() || s != nil && s.Status == roster.Alive
}

func (r *runs) awaitEnd(ctx context.Context, run string) error {
	if node, _, _ := strings.Cut(run, "."); node == r.id && run != r.gossipName() && r.durable() {
		return nil
	}
	var s *roster.Sighting // the last that was heard of it: it is forgotten when the node runs again
	for {
		changed := r.changed.Next() // before it is looked at, so that nothing falls in between
		if now := r.directory.Run(run); now != nil {
			s = now
		}
		if s != nil && r.over(ctx, s, changed) {
			return nil
		}
		switch {
		case r.ctx.Err() != nil:
			return ErrClosed
		case !sleep.For(ctx, endPause):
			return ctx.Err()
		}
	}
}

// over reports whether a run has certainly ended, after the time that a connection to it lasts, or until
// there is news.
func (r *runs) over(ctx context.Context, s *roster.Sighting, changed <-chan struct{}) bool {
	if r.replaced(s) {
		return true
	}
	c, err := r.peers.Get(ctx, s.Node)
	if err == nil {
		select {
		case <-c.Ended():
			_, err = r.peers.Get(ctx, s.Node)
		case <-changed:
		case <-ctx.Done():
		}
	}
	return errors.Is(err, syscall.ECONNREFUSED) && r.directory.Addr(s.Node) == s.Addr
}

// replaced reports whether a run has certainly ended by what gossip says of its node.
func (r *runs) replaced(s *roster.Sighting) bool {
	if s.SaidGoodbye() {
		return true
	}
	now := r.directory.Get(s.Node)
	return now != nil && now.Gossip != s.Gossip && now.Status == roster.Alive && now.Start > s.Start &&
		(now.Durable && s.Durable || now.Addr == s.Addr)
}
