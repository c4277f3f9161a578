package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	transferPatience = 2 * time.Second
	removePatience   = 5 * time.Second
	// for the others to hear news of this node, or that it stops; there may be none
	noticePatience = 500 * time.Millisecond
)

// Close stops the node: "back soon". It hands over leadership first. A durable node stays in the
// configuration; a memory node, which comes back without its votes, is taken out of it. Close is idempotent
// and waits for every goroutine.
func (n *Node) Close() error {
	n.end.run(n.shutDown)
	return n.end.err
}

// Leave takes the node out of the farm for good and stops it. Its data directory then holds nothing the farm
// needs; a later start with it joins as a new node. If ctx ends first, the node stops all the same and an
// error says that it is still in the configuration. After Close it fails with ErrClosed; Close may follow it.
func (n *Node) Leave(ctx context.Context) (err error) {
	err = fmt.Errorf("cluster: leave: %w", ErrClosed)
	n.end.run(func() error {
		err = n.stopping.depart(ctx)
		return n.shutDown()
	})
	return errors.Join(err, n.end.err)
}

// ending is what happens once, at the end. Who comes later waits for it on a channel: sync.Once waits on a
// mutex, and while that is waited for, the clock of a synctest bubble stands still.
type ending struct {
	begun *atomic.Bool
	done  chan struct{}
	err   error // of the function that ran
}

func newEnding() ending { return ending{begun: new(atomic.Bool), done: make(chan struct{})} }

// ended reports whether what ran has ended without an error.
func (e *ending) ended() bool {
	select {
	case <-e.done:
		return e.err == nil
	default:
		return false
	}
}

// run runs f if nothing has run before, and returns when what ran has ended.
func (e *ending) run(f func() error) {
	if e.begun.Swap(true) {
		<-e.done
		return
	}
	defer close(e.done)
	e.err = f()
}

// stopping has this node leave the others in order: with a majority, with a leader, and with word that it
// goes. How far it is stands in base.departure, which has its own lock.
type stopping struct {
	*base
	members *members
	profile *profile
}

// depart takes this node out of the configuration and forgets its state.
func (sp *stopping) depart(ctx context.Context) error {
	sp.departure.step(func(g *goodbye) { g.forGood = true })
	sp.awaitRelief(ctx, func() bool { return false })
	sp.sayLeaving()
	if len(sp.instance().configuration().Servers) > 1 {
		if err := sp.ask(ctx, wire.MethodRemove, func() bool { return true }); err != nil {
			return err
		}
	}
	sp.departure.step(func(g *goodbye) { g.removed = true })
	sp.profile.change()
	return nil
}

func (sp *stopping) sayLeaving() {
	sp.departure.step(func(g *goodbye) { g.leaves = true })
	sp.profile.change()
}

// shutDown ends everything, in the order that lets each part say goodbye to the others.
func (n *Node) shutDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), removePatience)
	defer cancel()
	n.stopping.sayLeaving()
	n.stopping.awaitRelief(ctx, func() bool { return false })
	n.stopping.sayFarewell(ctx)
	n.stopping.handOver()
	err := n.release()
	n.log.Info("closed", keyNode, n.cfg.Name)
	return err
}

// sayFarewell sees to it that the others keep a majority without this node. A memory node, which comes back
// without its votes, leaves the configuration; the last voter waits for a relief. Of two durable voters
// one gives up its vote, unless the other stops as well.
func (sp *stopping) sayFarewell(ctx context.Context) {
	var err error
	switch {
	// the last, if the state has stopped
	case sp.departure.now().removed || !sp.othersStay() || sp.instance().ctx.Err() != nil:
	case !sp.durable():
		err = sp.ask(ctx, wire.MethodRemove, sp.othersStay)
	case sp.instance().witness.divergence().stop: // whose copy is right is not for a restart to decide
	case len(sp.instance().voters()) == 2:
		err = sp.ask(ctx, wire.MethodDemote, sp.othersStay)
	}
	dismissed := err == nil && sp.othersStay()
	sp.departure.step(func(g *goodbye) { g.dismissed = dismissed })
	if err != nil && sp.othersStay() {
		sp.log.Warn("the others were not told to go on without this node's vote", keyError, err)
	}
}

// othersStay reports whether anybody who goes on has the state and votes, or soon will. Whom this node has
// let go as the leader does not stay: gossip may say so later.
func (sp *stopping) othersStay() bool {
	in := sp.instance()
	gone := in.leading.letGo()
	for _, srv := range in.configuration().Servers {
		s := sp.directory.Get(wire.NodeOf(string(srv.ID)))
		if s != nil && s.Node != sp.id && s.Server() == string(srv.ID) && s.Status == roster.Alive &&
			!s.Leaving && s.Boot > gone[string(srv.ID)] && Role(s.Role) == Ordinary {
			return true
		}
	}
	return false
}

// handOver gives leadership to another voter, if there is one, and waits until that leads. When the others
// turn out to stop as well, nobody will. Nor does it wait for more than a heartbeat timeout for somebody who
// can take over; this node may have been elected a moment ago, and not have heard of anybody yet.
func (sp *stopping) handOver() {
	in, patience := sp.instance(), sp.cfg.Tuning.Heartbeat
	ctx, cancel := context.WithTimeout(context.Background(), transferPatience)
	defer cancel()
	began, asked := time.Now(), time.Time{}
	for in.raft.State() == raft.Leader && sp.othersStay() && len(in.voters()) >= 2 {
		switch {
		case time.Since(asked) < patience: // raft is at it
		case begun(in.handing.transfer(sp.heir())):
			asked = time.Now()
		case time.Since(began) > patience:
			return
		}
		if !sleep.For(ctx, 10*time.Millisecond) {
			return
		}
	}
}

// heir returns the voter that should lead next if some other voter stops as well, which raft does not know:
// of those that stay and can take over, one that was heard to have applied most. "" leaves the choice to
// transfer.
func (sp *stopping) heir() (server string) {
	in, s := sp.instance(), sp.members.situation()
	voters, staying := s.Majority(sp.id, s.Stays)
	if staying == voters {
		return ""
	}
	fits := false // server can take over
	for _, srv := range s.Servers {
		if !srv.Votes || srv.ID == s.Self || !s.Stays(srv) {
			continue
		}
		fit := in.handing.unfitHeir(srv.ID, sp.cfg.Tuning.Heartbeat) == nil
		further := server == "" || sp.directory.Reached(srv.ID) > sp.directory.Reached(server)
		if fit && !fits || fit == fits && further {
			server, fits = srv.ID, fit
		}
	}
	return server
}

// ask has the leader take this node out of the configuration, or its vote. It tries until ctx ends, or there
// is no reason to.
func (sp *stopping) ask(ctx context.Context, m wire.Method, sense func() bool) error {
	var pause backoff
	for {
		sp.handOver()
		in := sp.instance()
		err := in.askLeader(ctx, func(ctx context.Context, leader string) error {
			if leader == in.server {
				return wire.ErrNotLeader // others lead once it is handed over
			}
			_, _, err := sp.peers.Call(ctx, wire.NodeOf(leader), m, []byte(in.server))
			return err
		})
		if err == nil {
			return nil
		}
		if !sense() || !pause.wait(ctx) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// release gives back what open acquired. It also serves a half-opened node.
func (n *Node) release() (err error) {
	in := n.instance()
	if g := n.gossip(); g != nil {
		n.stopping.giveNotice(in)
		if n.members.anybodyStays() {
			g.sayGone()
		}
		g.stop()
	}
	close(n.stopped)
	n.cancel()
	if in != nil {
		err = in.stop()
	}
	if n.port != nil {
		err = errors.Join(err, n.port.Close())
	}
	n.workers.end()
	if now := n.instance(); now != in {
		err = errors.Join(err, now.stop()) // a reset was under way
	}
	if n.dir != nil {
		err = errors.Join(err, n.stopping.forgetFarm(), n.dir.Close())
	}
	return err
}

// giveNotice tells the others that this node stops, before gossip tells them that it is gone: else it would
// count as dead. If they could not take a memory node out of the configuration, its part in Raft has ended by
// then, and its memory with it: they may have no quorum without it, and then it counts that it is gone for
// good.
func (sp *stopping) giveNotice(in *instance) {
	patience := 2 * noticePatience // gossip may carry something else before
	if !sp.durable() && !sp.departure.now().dismissed && len(in.configuration().Servers) > 1 &&
		in.stop() == nil {
		sp.departure.step(func(g *goodbye) { g.over = true })
		patience += noticePatience // the news that this node is leaving comes first
	}
	sp.departure.step(func(g *goodbye) { g.last = true })
	end := time.After(patience)
	told := make(chan struct{})
	select {
	// not from here: two updates at once replace each other, and neither waits to be sent
	case sp.profile.asked <- told:
	case <-end:
		return
	}
	select {
	case <-told:
	case <-end:
	}
}

// forgetFarm makes the data directory of a node that has left that of one which has never been a member.
func (sp *stopping) forgetFarm() error {
	if !sp.departure.now().removed {
		return nil
	}
	if _, err := sp.dir.Discard(logDir); err != nil {
		return err
	}
	return sp.standing.Leave()
}
