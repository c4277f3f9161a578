package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A restore asks nobody for the farm's state, so two at once would make two farms of it. Whoever restores
// claims the farm from every member that it reaches, itself among them; a member gives one claim at a time.
// Two who can reach each other, in one direction at least, cannot both have it; two in the halves of a
// partition can, and their farms refuse each other.

const claimFor = restorePatience

// claimFarm asks everybody who is there to let this node replace the state of the farm that it returns. The
// members are asked in one order by all who claim, so that one of two has it; but first it is found out, of
// all at once, who answers. A member that does not answer, or knows of no claims, does not stand in the way.
func (n *Node) claimFarm(ctx context.Context) (cluster string, err error) {
	defer func() {
		if err != nil {
			n.giveBack(cluster)
		}
	}()
	cluster = n.self().cluster
	for _, node := range n.answering(ctx, n.members.present()) {
		switch err := n.askClaim(ctx, node, cluster, false); {
		case ctx.Err() != nil:
			return cluster, ctx.Err()
		case errors.Is(err, ErrOtherFarm):
			return cluster, fmt.Errorf("%w: so says node %s", errFarmChanged, node)
		case errors.Is(err, wire.ErrPromised):
			return cluster, fmt.Errorf("%w: so says node %s; see what comes of it", errBusy, node)
		}
	}
	return cluster, nil
}

// giveBack ends a claim of this node.
func (n *Node) giveBack(cluster string) {
	atOnce(n.members.present(), func(node string) {
		// one that is not asked goes by the time, or by this node's cluster ID
		n.askClaim(n.ctx, node, cluster, true)
	})
}

// answering returns those of some nodes, by NodeID, that answer a call, in the same order; this node is one.
func (n *Node) answering(ctx context.Context, nodes []string) []string {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var there names
	atOnce(nodes, func(node string) {
		if node != n.id {
			if _, err := n.statusOf(ctx, node); err != nil {
				return
			}
		}
		there.set(node, true)
	})
	return slices.DeleteFunc(slices.Clone(nodes), func(node string) bool { return !there.has(node) })
}

func (n *Node) askClaim(ctx context.Context, node, cluster string, back bool) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	payload := append(wire.AppendString(nil, cluster), wire.BoolByte(back))
	if node == n.id {
		return n.answerClaim(wire.Hello{Source: n.self().server}, payload)
	}
	_, _, err := n.peers.Call(ctx, node, wire.MethodClaim, payload)
	return err
}

// answerClaim is the side of the one that is asked.
func (n *Node) answerClaim(from wire.Hello, payload []byte) error {
	r := wire.NewReader(payload)
	cluster, back := r.Text(), r.Byte() != 0
	if err := r.End(); err != nil {
		return err
	}
	by := wire.NodeOf(from.Source)
	if back {
		return n.standing.GiveBack(cluster, by)
	}
	return n.standing.Claim(cluster, by, claimFor, reformPatience, n.members.here)
}

// claimHeld returns the NodeID of the one that has this node's claim, if it still may use it; "" if nobody
// has.
func (n *Node) claimHeld() string { return n.standing.ClaimedBy(n.members.here) }
