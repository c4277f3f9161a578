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
func (p *profile) testAdvertised() {
	if p.advertise == p.port.Addr().String() {
		return
	}
	var err error
	for range 3 {
		if err = p.callSelf(); err == nil {
			return
		}
		if !sleep.For(p.ctx, time.Second) {
			return
		}
	}
	p.log.Warn("the advertised address does not lead back to this node; if the others cannot reach it there "+
		"either, "+
		"they cannot keep it as a member: set Advertise to an address of this machine that they can reach, "+
		"TCP and UDP",
		keyAddr, p.advertise, keyError, err)
}

func (p *profile) callSelf() error {
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	defer cancel()
	st, err := p.askStatus(ctx, p.advertise, p.id)
	if err == nil && st.gossip != p.gossipName() {
		err = fmt.Errorf("another process answers there: %s", st.gossip)
	}
	return err
}
