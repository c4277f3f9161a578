package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// What an incarnation holds may not count any more: its log is damaged, or the state that the log led to is
// wrong. But this may be the only place that has what it acknowledged. So it first stops everything that
// could count for a quorum, and changes nothing on disk. Then it asks until a leader says that the others
// have all of the log without this node (without.go). Only then does it begin anew, as another incarnation.

const (
	mendEvery      = 2 * time.Second
	resumePatience = 30 * time.Second // without a leader, before a log that is whole counts again
)

// mending ends the part of an incarnation whose log or state does not count, and has the node begin anew when
// nothing is lost with it. What it knows is in base.fit, which has its own lock.
type mending struct {
	*base
	members *members
	resets  *resets
}

// withdraw ends an incarnation's part in Raft at once: when it returns, this node gives no vote and
// acknowledges no entry any more. It reports false if that has been done already, or if another incarnation
// has taken its place. run does the rest.
func (md *mending) withdraw(in *core, u unfit) bool {
	in.layer.Close()
	still := func() bool { // else another one takes its place
		id := md.standing.Identity()
		return in.server == wire.ServerID(id.NodeID, id.Incarnation) && in.boot == id.Boot
	}
	if !md.fit.withdraw(u, still) {
		return false
	}
	md.changed.Notify()
	return true
}

// run sees to it that an incarnation whose log or state does not count begins anew, as soon as that loses
// nothing.
func (md *mending) run() {
	var since time.Time // that nobody leads
	for md.failure.get() == nil {
		select {
		case <-md.fit.unfit:
		case <-time.After(mendEvery):
		case <-md.ctx.Done():
			return
		}
		u, in := md.fit.look(md.instance)
		if u == nil {
			since = time.Time{}
			continue
		}
		md.try(in, *u, &since)
	}
}

// try stops Raft, asks once, and gives the order that follows.
func (md *mending) try(in *instance, u unfit, since *time.Time) {
	in.layer.Close()
	if err := in.standDown(); err != nil {
		md.fail(err)
		return
	}
	leader, err := md.notNeeded(in.server)
	switch {
	case md.ctx.Err() != nil:
	case err == nil && u.final:
		in.halted(u.err)
	case err == nil:
		md.resets.orders.give(resetOrder{server: in.server, kind: u.kind, mends: true,
			reason: fmt.Errorf("%w; %s says that the farm has a quorum without it", u.err, leader)})
	default:
		md.sayNeeded(u, err)
		md.resumeUnfit(in, u, since)
	}
}

// sayNeeded says that nobody could tell that this node's log is not needed, and what to do.
func (md *mending) sayNeeded(u unfit, err error) {
	what, advice := "the log of this node is damaged", ""
	if u.kind.hidesState() {
		what, advice = "this node's copy of the state is wrong",
			"start this node again as well, since its log may be needed; "
	}
	md.warnOnce("unfit", what+", and no leader says that the farm has a quorum without it; it is left as it "+
		"is. Start the missing "+
		"nodes; if too many are lost for good, "+advice+"run farmctl recover through another node, or "+
		"restore a backup",
		fmt.Errorf("%w: %w", u.err, err))
}

// resumeUnfit has an incarnation take part again whose state is wrong and whose log is whole, when the others
// have had no leader for a while: they may need its vote, and what it has acknowledged. Then copies differ
// and none has a majority, so the farm takes no writes and people decide. In memory Raft cannot go on.
func (md *mending) resumeUnfit(in *instance, u unfit, since *time.Time) {
	switch {
	case !md.durable() || u.final || !u.kind.hidesState():
	case md.othersLed():
		*since = time.Time{}
	case since.IsZero():
		*since = time.Now()
	case time.Since(*since) >= resumePatience:
		md.resets.orders.give(resetOrder{server: in.server, kind: rebuildState, mends: true,
			reason: fmt.Errorf("the others have no leader without this node, so it takes part again with "+
				"the log it has; %w", u.err)})
	}
}

// askOthers puts a question to every other member that gossip knows to be alive, to all at once, until one
// has no error, and returns its name.
func (md *mending) askOthers(m wire.Method, payload []byte) (name string, err error) {
	ctx, cancel := context.WithTimeout(md.ctx, dialTimeout)
	defer cancel()
	var mu sync.Mutex
	err = ErrNoLeader
	atOnce(md.members.others(), func(s *roster.Sighting) {
		_, _, e := md.peers.Call(ctx, s.Node, m, payload)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case name != "": // one has answered, and the other questions were cancelled
		case e == nil:
			name = s.Name
			cancel()
		default:
			err = errors.Join(err, fmt.Errorf("%s: %w", s.Name, e))
		}
	})
	if name != "" {
		return name, nil
	}
	return "", err
}

// notNeeded asks whether the farm has a quorum without a server of this node; the one that leads answers, by
// its name.
func (md *mending) notNeeded(server string) (leader string, err error) {
	return md.askOthers(wire.MethodWithout, []byte(server))
}

// othersLed reports whether another node leads and has a majority.
func (md *mending) othersLed() bool {
	_, err := md.askOthers(wire.MethodBarrier, nil)
	return err == nil
}

// answerWithout is the leader's side of notNeeded. It returns nil if the others are a quorum and have all
// that the server that asks may have stored. That stays true, since the server stores nothing any more. If no
// majority has equal copies, every copy may be needed, also one whose log is damaged, and the answer is an
// error. Only those count whose copy is known to be right.
func (md *mending) answerWithout(ctx context.Context, from wire.Hello, server string) error {
	l := md.instance().leading.now()
	switch {
	case server != from.Source:
		return wire.ErrNotMe
	case l == nil:
		return wire.ErrNotLeader
	}
	if err := l.await(ctx); err != nil {
		return err
	}
	if d := l.in.witness.divergence(); d.stop {
		return d.err()
	}
	err := wire.ErrNotLeader
	l.enter(func() bool {
		err = l.proving.quorumWithout(server, l.comparison.right())
		return true
	})
	return err
}

// right returns who counts as having the right copy: this leader, and whoever had the same when it was
// compared last. It returns nil, everybody, below the level at which copies are compared.
func (c *comparison) right() func(voter string) bool {
	if c.in.fsm.Level() < wire.LevelSafety {
		return nil
	}
	same := c.same.Load()
	return func(voter string) bool { return voter == c.in.server || same != nil && (*same)[voter] }
}
