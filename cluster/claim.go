package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A restore asks nobody for the farm's state, so two at once would make two farms of it. Whoever restores
// claims the farm from every member that it reaches, itself among them; a member gives one claim at a time.
// Two who can reach each other, in one direction at least, cannot both have it. Two in the halves of a
// partition can, and then their farms refuse each other.

const claimFor = restorePatience

// claims are made by this node, and asked of it. Whom it has given one is in standing.
type claims struct {
	*base
	members *members

	restoring atomic.Bool // a restore is under way on this node
}

// claim asks everybody who is there to let this node replace the state of the farm that it returns. All who
// claim ask the members in the same order, so that one of two gets it. Before that, all are asked at once
// whether they answer. A member that does not answer, or knows of no claims, does not stand in the way.
func (c *claims) claim(ctx context.Context) (cluster string, err error) {
	defer func() {
		if err != nil {
			c.giveBack(cluster)
		}
	}()
	cluster = c.self().cluster
	for _, node := range c.answering(ctx, c.members.present()) {
		switch err := c.ask(ctx, node, cluster, false); {
		case ctx.Err() != nil:
			return cluster, ctx.Err()
		case errors.Is(err, ErrOtherFarm):
			return cluster, fmt.Errorf("%w: so says node %s", errFarmChanged, node)
		case errors.Is(err, wire.ErrWordGiven):
			return cluster, fmt.Errorf("%w: so says node %s; see what comes of it", errBusy, node)
		}
	}
	return cluster, nil
}

// giveBack ends a claim of this node.
func (c *claims) giveBack(cluster string) {
	atOnce(c.members.present(), func(node string) {
		// one that is not asked goes by the time, or by this node's cluster ID
		c.ask(c.ctx, node, cluster, true)
	})
}

// answering returns those of some nodes, by NodeID, that answer a call, in the same order; this node is one.
func (c *claims) answering(ctx context.Context, nodes []string) []string {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var there names
	atOnce(nodes, func(node string) {
		if node != c.id {
			if _, err := c.members.statusOf(ctx, node); err != nil {
				return
			}
		}
		there.set(node, true)
	})
	return slices.DeleteFunc(slices.Clone(nodes), func(node string) bool { return !there.has(node) })
}

func (c *claims) ask(ctx context.Context, node, cluster string, back bool) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	payload := append(wire.AppendString(nil, cluster), wire.BoolByte(back))
	if node == c.id {
		return c.answer(wire.Hello{Source: c.self().server}, payload)
	}
	_, _, err := c.peers.Call(ctx, node, wire.MethodClaim, payload)
	return err
}

// answer is the side of the one that is asked.
func (c *claims) answer(from wire.Hello, payload []byte) error {
	r := wire.NewReader(payload)
	cluster, back := r.Text(), r.Byte() != 0
	if err := r.End(); err != nil {
		return err
	}
	by := wire.NodeOf(from.Source)
	if back {
		return c.standing.GiveBack(cluster, by)
	}
	return c.standing.Claim(cluster, by, claimFor, reformPatience, c.members.here)
}

// held returns the NodeID of the one that has this node's claim, if it still may use it; "" if nobody
// has.
func (c *claims) held() string { return c.standing.ClaimedBy(c.members.here) }
