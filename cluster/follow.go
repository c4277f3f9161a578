package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/succession"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Whoever has stood down for a re-forming promises to follow one successor (internal/standing). It takes the
// promise back if the successor is out of it, or the old farm turns out to have a quorum without it.

// answerFollow promises to follow one successor, as long as that may re-form the farm.
func (n *Node) answerFollow(payload []byte) error {
	r := wire.NewReader(payload)
	cluster, heir, lost := r.Text(), r.Text(), r.Texts()
	if err := r.End(); err != nil {
		return err
	}
	id, in := n.standing.Identity(), n.instance()
	if cluster == "" || cluster != id.ClusterID || in.server != n.standing.Server() || in.boot != id.Boot ||
		!in.quiet.ended() {
		return wire.ErrNotReformed
	}
	if by := n.claimHeld(); by != "" && by != wire.NodeOf(heir) {
		return wire.ErrPromised // which replaces the farm's state by a backup
	}
	n.standing.StandDown()
	before := n.standing.Word().Successor
	free := before == "" || before == heir || slices.Contains(lost, before) ||
		n.released(cluster, before, heir)
	if !free {
		return wire.ErrPromised
	}
	return n.standing.Promise(id, heir, before)
}

// released reports whether a promise to one successor may be given to another one instead. A successor
// promises to follow itself, and re-forms nothing without that. So two who stand in each other's way, each
// promised to by some, need not do so for ever: the one that holds less promises to follow the other, and
// what it was promised is void.
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

// resumeIfAbandoned has this node take part again if it stood down, and nothing came of it. With a data
// directory its Raft goes on from the log, once nobody can count on its being over. In memory it must not;
// but when it turns out that a quorum lives after all, what this node holds is not needed any more.
func (n *Node) resumeIfAbandoned(in *instance, look func() *succession.Survey) {
	word := n.standing.Word()
	if !in.quiet.ended() || in.end.begun.Load() || time.Since(word.StoodDown) < reformPatience {
		return
	}
	reason := errors.New("it had stood down for a re-forming of the farm that came to nothing")
	switch {
	case !n.durable():
		if look().Runs() {
			n.resets.reset(in.server, reason)
		}
	case word.Successor == "" || word.Successor == in.server || n.outOfIt(word.Successor) || look().Runs():
		if n.standing.Resume(word.Successor, reformPatience) {
			n.resets.restart(in.server, reason)
		}
	}
}

// outOfIt reports whether a successor takes part in the farm again, or follows another one: then it re-forms
// nothing.
func (n *Node) outOfIt(heir string) bool {
	ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
	defer cancel()
	r, err := n.askReport(ctx, n.self().cluster, heir, false)
	return err == nil && (!r.Down || r.Successor != "" && r.Successor != heir)
}
