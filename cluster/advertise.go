package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// testAdvertised calls this node by the address it tells the others, and warns if that leads elsewhere. An
// address that was bound as it is needs no test. A network may refuse such a detour and be right all the
// same, so it is a warning.
func (n *Node) testAdvertised() {
	if n.advertise == n.port.Addr().String() {
		return
	}
	var err error
	for range 3 {
		if err = n.callSelf(); err == nil {
			return
		}
		if !sleep(n.ctx, time.Second) {
			return
		}
	}
	n.log.Warn("the advertised address does not lead back to this node; if the others cannot reach it there "+
		"either, "+
		"they cannot keep it as a member: set Advertise to an address of this machine that they can reach, "+
		"TCP and UDP",
		keyAddr, n.advertise, keyError, err)
}

func (n *Node) callSelf() error {
	ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
	defer cancel()
	st, err := n.handshakes.askStatus(ctx, n.advertise, n.id)
	if err == nil && st.gossip != n.gossipName() {
		err = fmt.Errorf("another process answers there: %s", st.gossip)
	}
	return err
}

// askStatus asks the node at addr, whose NodeID must be node, over a connection of its own.
func (hs *handshakes) askStatus(ctx context.Context, addr, node string) (status, error) {
	c, err := hs.port.Dial(ctx, addr, protoRPC, node)
	if err != nil {
		return status{}, err
	}
	defer c.Close()
	if err := hs.greet(ctx, c, ""); err != nil {
		return status{}, err
	}
	rc := link.New(c)
	if !hs.spawn(rc.Run) {
		return status{}, ErrClosed
	}
	out, err := rc.Call(ctx, wire.MethodStatus, nil)
	st, parseErr := parseStatus(out)
	return st, errors.Join(err, parseErr)
}
