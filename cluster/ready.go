package cluster

import (
	"context"
	"fmt"
	"time"
)

// Ready returns nil once this node is a caught-up member: in the configuration, with a vote if it is to have
// one, and with everything applied that was acknowledged before. A node that the leader has as a stand-by is
// ready once no stand-by is about to get a vote: so whoever replaces machines one after the other, and waits
// for the new one to be ready each time, keeps the majority. It stays ready from then on. A permanent refusal
// ends the wait with Err's error, Close with ErrClosed.
func (n *Node) Ready(ctx context.Context) error {
	for {
		changed := n.changed.next()
		if n.fit.ready() {
			return nil
		}
		select {
		case <-changed:
		case <-n.failure.done:
			return n.Err()
		case <-n.stopped:
			return fmt.Errorf("cluster: ready: %w", ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("cluster: not a caught-up member yet: %w", ctx.Err())
		}
	}
}

// votePatience is for how long a node waits for the vote that it would give itself, if the leader's program
// does not say whether it does. A leader with a lower MaxVoters never does, and the node is to serve all the
// same.
const (
	votePatience = 20 * time.Second
	readyEvery   = 20 * time.Millisecond
)

// keepReady opens the gate once this node is a caught-up member, and again whenever it was closed.
func (n *Node) keepReady() {
	for n.becomeReady() {
		for changed := n.changed.next(); n.fit.ready(); changed = n.changed.next() {
			select {
			case <-changed:
			case <-n.ctx.Done():
				return
			}
		}
	}
}

// becomeReady looks until this node is a caught-up member. It reports false if the node stops before.
func (n *Node) becomeReady() bool {
	var passed time.Time // since when it is one, but for the vote that it should have
	var said complaint
	var seat seat
	began := time.Now()
	for {
		configured := n.instance().configured()
		caughtUp := configured && n.caughtUpNow()
		placed, told := false, false
		if caughtUp {
			placed, told = n.placed(&seat)
		}
		if told {
			passed = time.Time{}
		}
		switch {
		case caughtUp && placed, caughtUp && !passed.IsZero() && time.Since(passed) > votePatience:
			if n.openGate() {
				n.sayCaughtUp(began)
				return true
			}
		case !caughtUp:
			passed = time.Time{}
		case passed.IsZero():
			passed = time.Now()
		}
		n.sayUnready(&said, began, placed, configured, caughtUp)
		if !sleep(n.ctx, readyEvery) {
			return false
		}
	}
}

// openGate has this node count as ready, unless it is about to give up its state, or holds what does not
// count.
func (n *Node) openGate() bool {
	if !n.fit.open(n.resets.orders.hiding) {
		return false
	}
	n.changed.notify()
	return true
}

// caughtUpNow reports whether everything is applied here that was acknowledged before, and this run of the
// node is known.
func (n *Node) caughtUpNow() bool {
	if !n.fsm().Usable() || !n.registered() {
		return false
	}
	ctx, cancel := context.WithTimeout(n.ctx, time.Second)
	defer cancel()
	return n.reads.barrier(ctx) == nil
}

// configured reports whether this server is in the configuration.
func (in *instance) configured() bool {
	return in.node.members.situation().Server(in.server) != nil
}

// placed reports whether this node, which has caught up, has the place in the configuration that it is to
// have: a vote, or none, if the leader would give none to any stand-by now. told is false if the leader could
// not be asked, or its program does not know the question; then this node judges as it would if it led.
func (n *Node) placed(own *seat) (right, told bool) {
	s := n.members.situation()
	switch {
	case n.cfg.Role != Ordinary:
		return true, true
	case s.Votes(s.Self):
		return own.committed(n.instance()), true
	}
	*own = seat{}
	ctx, cancel := context.WithTimeout(n.ctx, time.Second)
	defer cancel()
	comes, err := n.voteComes(ctx)
	if err != nil {
		return !s.Promotable(s.Self), false
	}
	return !comes, true
}

// seat is what a node has seen of its own vote. A configuration counts for Raft when it is in the log,
// committed or not, and goes with its leader if it is not.
type seat struct {
	in *instance
	at uint64 // the end of the log when it was seen
}

// committed reports whether the vote that an instance has now is there for good: all is applied that was in
// the log when it was seen first.
func (v *seat) committed(in *instance) bool {
	if v.in != in {
		*v = seat{in, in.last()}
	}
	applied, _ := in.fsm.View()
	return applied >= v.at
}

// registered makes sure that the farm knows this run of the node before it serves anybody.
func (n *Node) registered() bool {
	in := n.instance()
	in.origin.introduce()
	return in.fsm.Knows(in.origin.id)
}
