package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

const dialTimeout = link.DialTimeout

// linkPeers returns this node's connections for calls to other members.
func (n *Node) linkPeers() *link.Set {
	return link.NewSet(link.Config{
		Dial:   n.dialRPC,
		Hello:  func(ctx context.Context, c net.Conn) error { return n.handshakes.greet(ctx, c, "") },
		Spawn:  n.spawn,
		Closed: ErrClosed,
		Keep: func(id string) (context.Context, bool) {
			leader, _ := n.instance().leader.get()
			return n.ctx, wire.NodeOf(leader) == id && n.ctx.Err() == nil
		},
	})
}

// dialRPC dials for calls. A refusal says that the process is gone.
func (n *Node) dialRPC(ctx context.Context, id string) (net.Conn, error) {
	c, err := n.dial(ctx, id, protoRPC)
	if errors.Is(err, syscall.ECONNREFUSED) {
		n.instance().suspectLeader(id)
	}
	return c, err
}

// dial opens a connection to the node whose NodeID is id, wherever it was last seen.
func (n *Node) dial(ctx context.Context, id, proto string) (net.Conn, error) {
	addr := n.directory.Addr(id)
	if addr == "" {
		return nil, fmt.Errorf("no address known of node %s", id)
	}
	return n.port.Dial(ctx, addr, proto, id)
}

// acceptRPC serves the rpc connections that other members open.
func (n *Node) acceptRPC(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !n.spawn(func() {
			from, err := n.handshakes.receive(c, false)
			if err != nil {
				n.log.Debug("rpc connection refused", keyError, err)
				c.Close()
				return
			}
			link.Serve(n.ctx, c, func(ctx context.Context, m wire.Method, payload []byte) ([]byte, error) {
				return n.answer(ctx, from, m, payload)
			})
		}) {
			c.Close()
		}
	}
}

// acceptRaft hands the raft connections that other members open to the present Raft instance.
func (n *Node) acceptRaft(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !n.spawn(func() {
			h, err := n.handshakes.receive(c, true)
			in := n.instance()
			if err == nil && in.server != h.Dest { // replaced since
				err = wire.ErrNotMe
			}
			if err != nil {
				n.log.Debug("raft connection refused", keyError, err)
				c.Close()
				return
			}
			in.layer.offer(c)
		}) {
			c.Close()
		}
	}
}
