package cluster

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Ready returns nil once this node is a caught-up member: in the configuration, with a vote if it is to have
// one, and with everything applied that was acknowledged before. A node that the leader has as a stand-by is
// ready once no stand-by is about to get a vote: so whoever replaces machines one after the other, and waits
// for the new one to be ready each time, keeps the majority. It stays ready from then on. A permanent refusal
// ends the wait with Err's error, Close with ErrClosed.
func (n *Node) Ready(ctx context.Context) error {
	for {
		changed := n.changed.Next()
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
			return fmt.Errorf("cluster: not a caught-up member yet: %s: %w", n.readiness.waitsFor(), ctx.Err())
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

// readiness opens the gate once this node is a caught-up member. Whether it is open is in base.fit.
type readiness struct {
	*base
	members  *members
	reads    *reads
	joining  *joining
	resets   *resets
	stopping *stopping

	way atomic.Pointer[stage] // how far this node was at the last look; nil = nobody has looked
}

// stage is how far a node is on the way to being a caught-up member. Each step has those before it.
type stage struct {
	configured bool // it is in the configuration
	caughtUp   bool // everything is applied that was acknowledged before
	placed     bool // it has the vote that it is to have, if any
}

// keep opens the gate once this node is a caught-up member, and again whenever it was closed.
func (rd *readiness) keep() {
	for rd.becomeReady() {
		for changed := rd.changed.Next(); rd.fit.ready(); changed = rd.changed.Next() {
			select {
			case <-changed:
			case <-rd.ctx.Done():
				return
			}
		}
	}
}

// becomeReady looks until this node is a caught-up member. It reports false if the node stops before.
func (rd *readiness) becomeReady() bool {
	var passed time.Time // since when it is one, but for the vote that it should have
	var said complaint
	var seat seat
	began := time.Now()
	for {
		now := stage{configured: rd.instance().configured()}
		now.caughtUp = now.configured && rd.caughtUpNow()
		told := false
		if now.caughtUp {
			now.placed, told = rd.placed(&seat)
		}
		rd.way.Store(&now)
		if told {
			passed = time.Time{}
		}
		switch {
		case now.placed, now.caughtUp && !passed.IsZero() && time.Since(passed) > votePatience:
			if rd.openGate() {
				rd.sayCaughtUp(began)
				return true
			}
		case !now.caughtUp:
			passed = time.Time{}
		case passed.IsZero():
			passed = time.Now()
		}
		rd.sayUnready(&said, began, now)
		if !sleep.For(rd.ctx, readyEvery) {
			return false
		}
	}
}

// openGate has this node count as ready, unless it is about to give up its state, or holds what does not
// count.
func (rd *readiness) openGate() bool {
	if !rd.fit.open(rd.resets.orders.hiding) {
		return false
	}
	rd.changed.Notify()
	return true
}

// caughtUpNow reports whether everything is applied here that was acknowledged before, and this run of the
// node is known.
func (rd *readiness) caughtUpNow() bool {
	if !rd.fsm().Usable() || !rd.introduceRun() {
		return false
	}
	ctx, cancel := context.WithTimeout(rd.ctx, time.Second)
	defer cancel()
	return rd.reads.barrier(ctx) == nil
}

// placed reports whether this node, which has caught up, has the place in the configuration that it is to
// have: a vote, or none, if the leader would give none to any stand-by now. told is false if the leader could
// not be asked, or its program does not know the question; then this node judges as it would if it led.
func (rd *readiness) placed(own *seat) (right, told bool) {
	s := rd.members.situation()
	switch {
	case rd.cfg.Role != Ordinary:
		return true, true
	case s.Votes(s.Self):
		return own.lookAt(rd.instance()), true
	}
	*own = seat{}
	ctx, cancel := context.WithTimeout(rd.ctx, time.Second)
	defer cancel()
	comes, err := rd.stopping.voteComes(ctx)
	if err != nil {
		return !s.Promotable(s.Self), false
	}
	return !comes, true
}

// seat is what a node has seen of its own vote. For Raft a configuration counts as soon as it is in the log.
// If it was not committed, it may go again with its leader.
type seat struct {
	in *instance
	at uint64 // the end of the log when it was seen
}

// lookAt notes the vote that an instance has now, and reports whether it is there for good: all is applied
// that was in the log when it was seen first.
func (v *seat) lookAt(in *instance) bool {
	if v.in != in {
		*v = seat{in, in.last()}
	}
	applied, _ := in.fsm.View()
	return applied >= v.at
}

// introduceRun makes sure that the farm knows this run of the node before it serves anybody.
func (rd *readiness) introduceRun() bool {
	in := rd.instance()
	in.origin.introduce()
	return in.fsm.Knows(in.origin.id)
}
