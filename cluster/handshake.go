package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// handshakeTimeout is for how long the other side may be silent in a handshake.
const handshakeTimeout = 3 * time.Second

// handshakes make sure who is at the other end of a connection, and that the two may talk. They remember
// nothing.
type handshakes struct {
	*base
	members  *members
	leveling *leveling
	forming  *forming
	resets   *resets
}

// greet opens a dialed connection: it says who is calling whom, and believes only the right answer. It ends
// with ctx: the time to dial includes it.
func (hs *handshakes) greet(ctx context.Context, c net.Conn, dest string) error {
	c.SetDeadline(time.Now().Add(handshakeTimeout))
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	err := hs.exchangeHellos(c, dest)
	if !stop() {
		return errors.Join(ctx.Err(), err)
	}
	c.SetDeadline(time.Time{})
	return err
}

func (hs *handshakes) exchangeHellos(c net.Conn, dest string) error {
	me, asked := hs.self(), time.Now()
	if err := wire.WriteHello(c, me.hello(wire.Code(me.speaks), dest)); err != nil {
		return err
	}
	ack, err := wire.ReadHello(c)
	if err != nil {
		return err
	}
	if err := hs.leveling.endIfLeftBehind(ack.Level, ack.Cluster, "node "+wire.NodeOf(ack.Source)); err != nil {
		return err
	}
	if ack.Code != wire.CodeOK {
		hs.heedRefusal(me.server, ack)
		return fmt.Errorf("refused by %s: %w", ack.Source, ack.Code.Err())
	}
	return hs.checkPeer(c, ack, asked, me.cluster)
}

// receive answers the hello of an accepted connection. toRaft says that it must name this very incarnation.
func (hs *handshakes) receive(c net.Conn, toRaft bool) (wire.Hello, error) {
	c.SetDeadline(time.Now().Add(handshakeTimeout))
	defer c.SetDeadline(time.Time{})
	h, err := wire.ReadHello(c)
	if err != nil {
		return h, err
	}
	err = hs.judge(c, h, toRaft)
	me := hs.self() // after judge, which may have adopted the cluster ID
	return h, errors.Join(err, wire.WriteHello(c, me.hello(wire.CodeOf(err), h.Source)))
}

func (hs *handshakes) judge(c net.Conn, h wire.Hello, toRaft bool) error {
	me := hs.self()
	if err := hs.leveling.endIfLeftBehind(h.Level, h.Cluster, "node "+wire.NodeOf(h.Source)); err != nil {
		return err
	}
	if err := hs.leveling.refuseTooOld(h.Speaks(), "node "+wire.NodeOf(h.Source)); err != nil {
		return err
	}
	if toRaft && h.Dest != me.server {
		return fmt.Errorf("%w: called as %s", wire.ErrNotMe, h.Dest)
	}
	if err := hs.checkPeer(c, h, port.Since(c), me.cluster); err != nil {
		return err
	}
	if toRaft && me.cluster == "" {
		return hs.forming.adopt(h.Cluster)
	}
	return nil
}

// checkPeer checks what a hello or an ack says against TLS, the farm, and what the farm has seen of the
// speaker. It was said after the time given.
func (hs *handshakes) checkPeer(c net.Conn, h wire.Hello, after time.Time, cluster string) error {
	if id := port.PeerID(c); wire.NodeOf(h.Source) != id {
		return fmt.Errorf("%w: %s speaks as %s", wire.ErrNotMe, id, h.Source)
	}
	if cluster != "" && h.Cluster != "" && cluster != h.Cluster {
		return fmt.Errorf("%w: cluster ID %s here, %s at %s", ErrOtherFarm, cluster, h.Cluster, h.Source)
	}
	if hs.fsm().SetBack(wire.Registration{Origin: h.Origin, Server: h.Source, Boot: h.Boot}) {
		return fmt.Errorf("%w: %s, boot counter %d", wire.ErrSetBack, h.Source, h.Boot)
	}
	return hs.directory.Forgot(h, after)
}

// heedRefusal draws the conclusion from a refusal that concerns this node itself.
func (hs *handshakes) heedRefusal(server string, ack wire.Hello) {
	switch ack.Code {
	case wire.CodeOtherFarm:
		mine := hs.self().cluster
		if supersedes(ack.Cluster, mine) || supersedes(mine, ack.Cluster) {
			return // one of the two is about to join the other
		}
		hs.warnOnce("farm of "+ack.Source,
			"a node of another farm of this name and secret answers; it is left alone",
			fmt.Errorf("%w: %s has cluster ID %s, this node %s", ErrOtherFarm, ack.Source, ack.Cluster, mine))
		hs.members.estrange(ack.Source)
	case wire.CodeSetBack:
		hs.resets.reset(server, wire.ErrSetBack)
	}
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
