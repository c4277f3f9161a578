package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/succession"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Whoever has stood down for a re-forming promises to follow one successor. From then on its vote is over: if it voted on,
// the old farm could acknowledge beside the new one. So a durable node keeps the promise over its restarts, until it belongs
// to the next epoch, or the successor is out of it, or the old farm turns out to have a quorum without it.

// answerFollow promises to follow one successor, as long as that may re-form the farm.
func (n *Node) answerFollow(payload []byte) error {
	r := wire.NewReader(payload)
	cluster, heir, lost := r.Text(), r.Text(), r.Texts()
	if err := r.End(); err != nil {
		return err
	}
	if cluster == "" || cluster != n.self().cluster || !n.instance().quiet.ended() {
		return wire.ErrNotReformed
	}
	if by := n.claimHeld(); by != "" && by != wire.NodeOf(heir) {
		return wire.ErrPromised // which replaces the farm's state by a backup
	}
	n.standing()
	n.mu.Lock()
	before := n.successor
	n.mu.Unlock()
	free := before == "" || before == heir || slices.Contains(lost, before) || n.released(cluster, before, heir)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !free || n.successor != before || n.cluster != cluster || n.resuming {
		return wire.ErrPromised
	}
	return n.promiseLocked(heir)
}

// promiseLocked gives this node's word, or with "" takes it back. It is on disk before anybody hears of it. What a node
// promises itself need not be: if it is started again, its Raft runs, and then it re-forms nothing.
func (n *Node) promiseLocked(heir string) error {
	if n.durable() {
		var p disk.Promise
		if me := wire.ServerID(n.id, n.inc); heir != "" && heir != me {
			p = disk.Promise{ClusterID: n.cluster, Server: me, To: heir}
		}
		if err := n.dir.SavePromise(p); err != nil {
			return err
		}
	}
	n.successor = heir
	return nil
}

// loadPromise finds out whether this node has promised, before it was started again, not to vote.
func (n *Node) loadPromise() error {
	p, err := n.dir.Promise()
	if err != nil {
		return unusable(err)
	}
	if p.To == "" || p.ClusterID != n.cluster || p.Server != wire.ServerID(n.id, n.inc) {
		return nil
	}
	n.successor, n.stoodDown = p.To, time.Now()
	n.log.Warn("this node takes no part in the farm: during a recovery it promised to follow another node; "+
		"start the others as well, or run farmctl recover again", "follows", p.To)
	return nil
}

// bound reports whether a server has promised to follow another one.
func (n *Node) bound(server string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.successor != "" && n.successor != server
}

// released reports whether a promise to one successor may be given to another one instead. A successor promises to follow
// itself, and re-forms nothing without that. So two who stand in each other's way, each promised to by some, need not do so
// for ever: the one that holds less promises to follow the other, and what it was promised is void.
func (n *Node) released(cluster, before, heir string) bool {
	ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
	defer cancel()
	in := n.instance()
	if before == in.server {
		mine, err := n.holdings(in)
		other, asked := n.askReport(ctx, cluster, heir, false)
		return err == nil && asked == nil && other.Down && succession.Richer(&mine, other) < 0
	}
	if r, err := n.askReport(ctx, cluster, before, false); err == nil {
		return r.Successor != "" && r.Successor != before
	}
	gone, _ := n.gone(n.ctx, before)
	return gone
}

// standing notes that this node stands down for a re-forming that is under way.
func (n *Node) standing() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stoodDown = time.Now()
}

// abandoned has this node take part again if it stood down, and nothing came of it. With a data directory its Raft goes on
// from the log, once nobody can count on its being over. In memory it must not; but when it turns out that a quorum lives
// after all, what this node holds is not needed any more.
func (n *Node) abandoned(in *instance, look func() *succession.Survey) {
	n.mu.Lock()
	idle, heir := time.Since(n.stoodDown), n.successor
	n.mu.Unlock()
	if !in.quiet.ended() || in.end.begun.Load() || idle < reformPatience {
		return
	}
	reason := errors.New("it had stood down for a re-forming of the farm that came to nothing")
	switch {
	case !n.durable():
		if look().Runs() {
			n.reset(in.server, reason)
		}
	case heir == "" || heir == in.server || n.outOfIt(heir) || look().Runs():
		n.resume(in, heir, reason)
	}
}

// outOfIt reports whether a successor takes part in the farm again, or follows another one: then it re-forms nothing.
func (n *Node) outOfIt(heir string) bool {
	ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
	defer cancel()
	r, err := n.askReport(ctx, n.self().cluster, heir, false)
	return err == nil && (!r.Down || r.Successor != "" && r.Successor != heir)
}

// resume has Raft started again, unless something else was promised meanwhile. Nothing is from now on.
func (n *Node) resume(in *instance, heir string, reason error) {
	n.mu.Lock()
	n.resuming = !n.reforming && n.successor == heir && time.Since(n.stoodDown) >= reformPatience
	resuming := n.resuming
	n.mu.Unlock()
	if resuming {
		n.restart(in.server, reason)
	}
}
