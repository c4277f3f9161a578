package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
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
		if !sleep.For(n.ctx, time.Second) {
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
