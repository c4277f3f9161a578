package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
)

// handshakeTimeout is for how long the other side may be silent in a handshake.
const handshakeTimeout = 3 * time.Second

// greet opens a dialed connection: it says who is calling whom, and believes only the right answer. It ends with ctx: the time to
// dial includes it.
func (n *Node) greet(ctx context.Context, c net.Conn, dest string) error {
	c.SetDeadline(time.Now().Add(handshakeTimeout))
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	err := n.exchangeHellos(c, dest)
	if !stop() {
		return errors.Join(ctx.Err(), err)
	}
	c.SetDeadline(time.Time{})
	return err
}

func (n *Node) exchangeHellos(c net.Conn, dest string) error {
	me, asked := n.self(), time.Now()
	if err := writeHello(c, me.hello(code(me.speaks), dest)); err != nil {
		return err
	}
	ack, err := readHello(c)
	if err != nil {
		return err
	}
	if err := n.leftBehind(ack.level, ack.cluster, "node "+nodeOf(ack.source)); err != nil {
		return err
	}
	if ack.code != codeOK {
		n.refused(me.server, ack)
		return fmt.Errorf("refused by %s: %w", ack.source, ack.code.err())
	}
	return n.checkPeer(c, ack, asked, me.cluster)
}

// receive answers the hello of an accepted connection. toRaft says that it must name this very incarnation.
func (n *Node) receive(c net.Conn, toRaft bool) (hello, error) {
	c.SetDeadline(time.Now().Add(handshakeTimeout))
	defer c.SetDeadline(time.Time{})
	h, err := readHello(c)
	if err != nil {
		return h, err
	}
	err = n.judge(c, h, toRaft)
	me := n.self() // after judge, which may have adopted the cluster ID
	return h, errors.Join(err, writeHello(c, me.hello(codeOf(err), h.source)))
}

func (n *Node) judge(c net.Conn, h hello, toRaft bool) error {
	me := n.self()
	if err := n.leftBehind(h.level, h.cluster, "node "+nodeOf(h.source)); err != nil {
		return err
	}
	if err := n.tooOld(h.speaks(), "node "+nodeOf(h.source)); err != nil {
		return err
	}
	if toRaft && h.dest != me.server {
		return fmt.Errorf("%w: called as %s", errNotMe, h.dest)
	}
	if err := n.checkPeer(c, h, port.Since(c), me.cluster); err != nil {
		return err
	}
	if toRaft && me.cluster == "" {
		return n.adopt(h.cluster)
	}
	return nil
}

// checkPeer checks what a hello or an ack says against TLS, the farm, and what the farm has seen of the speaker. It was said
// after the time given.
func (n *Node) checkPeer(c net.Conn, h hello, after time.Time, cluster string) error {
	if id := port.PeerID(c); nodeOf(h.source) != id {
		return fmt.Errorf("%w: %s speaks as %s", errNotMe, id, h.source)
	}
	if cluster != "" && h.cluster != "" && cluster != h.cluster {
		return fmt.Errorf("%w: cluster ID %s here, %s at %s", ErrOtherFarm, cluster, h.cluster, h.source)
	}
	if n.fsm().setBack(registration{origin: h.origin, server: h.source, boot: h.boot}) {
		return fmt.Errorf("%w: %s, boot counter %d", errSetBack, h.source, h.boot)
	}
	return n.directory.forgot(h, after)
}

// refused draws the conclusion from a refusal that concerns this node itself.
func (n *Node) refused(server string, ack hello) {
	switch ack.code {
	case codeOtherFarm:
		mine := n.self().cluster
		if supersedes(ack.cluster, mine) || supersedes(mine, ack.cluster) {
			return // one of the two is about to join the other
		}
		n.warnOnce("farm of "+ack.source, "a node of another farm of this name and secret answers; it is left alone",
			fmt.Errorf("%w: %s has cluster ID %s, this node %s", ErrOtherFarm, ack.source, ack.cluster, mine))
		n.estrange(ack.source)
	case codeSetBack:
		n.reset(server, errSetBack)
	}
}
