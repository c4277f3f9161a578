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

// connections opens connections to the other members, and takes those that they open: for calls, which go
// over base.peers, for Raft, and for protocols of the application.
type connections struct {
	*base
	handshakes *handshakes
	answer     func(ctx context.Context, from wire.Hello, m wire.Method, payload []byte) ([]byte, error)

	rpc, raft net.Listener // where those wait that others open
	listening names        // protocols of the application that are listened for
}

// listen has those that others open wait until they are accepted.
func (cs *connections) listen() {
	cs.rpc, cs.raft = cs.port.Listener(protoRPC), cs.port.Listener(protoRaft)
}

// forCalls returns this node's connections for calls to other members.
func (cs *connections) forCalls() *link.Set {
	return link.NewSet(link.Config{
		Dial:   cs.dialRPC,
		Hello:  func(ctx context.Context, c net.Conn) error { return cs.handshakes.greet(ctx, c, "") },
		Spawn:  cs.spawn,
		Closed: ErrClosed,
		Keep: func(id string) (context.Context, bool) {
			leader, _ := cs.instance().leader.get()
			return cs.ctx, wire.NodeOf(leader) == id && cs.ctx.Err() == nil
		},
	})
}

// dialRPC dials for calls. A refusal says that the process is gone.
func (cs *connections) dialRPC(ctx context.Context, id string) (net.Conn, error) {
	c, err := cs.dial(ctx, id, protoRPC)
	if errors.Is(err, syscall.ECONNREFUSED) {
		cs.instance().suspecting.suspectLeader(id)
	}
	return c, err
}

// dialRaft opens a connection for Raft to a server, in that very incarnation.
func (cs *connections) dialRaft(ctx context.Context, server string) (net.Conn, error) {
	c, err := cs.dial(ctx, wire.NodeOf(server), protoRaft)
	if err != nil {
		return nil, err
	}
	if err := cs.handshakes.greet(ctx, c, server); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// dial opens a connection to the node whose NodeID is id, wherever it was last seen.
func (cs *connections) dial(ctx context.Context, id, proto string) (net.Conn, error) {
	addr := cs.directory.Addr(id)
	if addr == "" {
		return nil, fmt.Errorf("no address known of node %s", id)
	}
	return cs.port.Dial(ctx, addr, proto, id)
}

// acceptRPC serves the rpc connections that other members open.
func (cs *connections) acceptRPC() {
	for {
		c, err := cs.rpc.Accept()
		if err != nil {
			return
		}
		if !cs.spawn(func() {
			from, err := cs.handshakes.receive(c, false)
			if err != nil {
				cs.log.Debug("rpc connection refused", keyError, err)
				c.Close()
				return
			}
			link.Serve(cs.ctx, c, func(ctx context.Context, m wire.Method, payload []byte) ([]byte, error) {
				return cs.answer(ctx, from, m, payload)
			})
		}) {
			c.Close()
		}
	}
}

// acceptRaft hands the raft connections that other members open to the present Raft instance.
func (cs *connections) acceptRaft() {
	for {
		c, err := cs.raft.Accept()
		if err != nil {
			return
		}
		if !cs.spawn(func() {
			h, err := cs.handshakes.receive(c, true)
			in := cs.instance()
			if err == nil && in.server != h.Dest { // replaced since
				err = wire.ErrNotMe
			}
			if err != nil {
				cs.log.Debug("raft connection refused", keyError, err)
				c.Close()
				return
			}
			in.layer.offer(c)
		}) {
			c.Close()
		}
	}
}
