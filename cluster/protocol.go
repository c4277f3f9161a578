package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
)

const (
	protoRaft   = string(link.Raft)
	protoRPC    = string(link.RPC)
	protoGossip = string(link.Gossip)
	protoAdmin  = string(link.Admin) // of operators; see package port
)

// maxProto is the longest name of a protocol, in bytes: an ALPN name has 255, and some are ours.
const maxProto = 200

var errProtocol = errors.New("the name of a protocol has 1 to 200 bytes and is none of admin, gossip, raft " +
	"and rpc")

// checkProtocol says what is wrong with the name of a protocol of the application.
func checkProtocol(proto string) error {
	own := []string{protoRaft, protoRPC, protoGossip, protoAdmin}
	if proto == "" || len(proto) > maxProto || slices.Contains(own, proto) ||
		strings.HasPrefix(proto, protoAdmin+"-") {
		return fmt.Errorf("%q: %w", proto, errProtocol)
	}
	return nil
}

// Listener returns the connections that other members open by Dial for the same protocol, a short word such
// as "http". They are mutually authenticated and encrypted; PeerID tells who calls.
//
// However many are opened at once, the nodes' own connections do not wait for them. A protocol for large
// transfers has the name "bulk", or one that begins with "bulk-": then the other protocols do not wait for it
// either.
//
// A protocol has one listener at a time. Listener panics if there is an open one already, and if the word is
// empty, longer than 200 bytes, or one of those that the nodes use themselves: admin, gossip, raft, rpc.
func (n *Node) Listener(proto string) net.Listener {
	if err := checkProtocol(proto); err != nil {
		panic("cluster: Listener: " + err.Error())
	}
	if !n.connections.listening.add(proto, math.MaxInt) {
		panic(fmt.Sprintf("cluster: Listener(%q): somebody listens already; the two would take connections "+
			"from each other", proto))
	}
	return &protoListener{Listener: n.port.AppListener(proto),
		closed: sync.OnceFunc(func() { n.connections.listening.set(proto, false) })}
}

// protoListener tells when it is closed.
type protoListener struct {
	net.Listener
	closed func()
}

func (l *protoListener) Close() error {
	err := l.Listener.Close()
	l.closed()
	return err
}

// Dial connects to the member whose NodeID is id, for a protocol that it listens for. It may wait for other
// dials, until ctx ends: so many handshakes with one member are under way at once. It fails for the protocols
// that nodes use themselves.
func (n *Node) Dial(ctx context.Context, id, proto string) (net.Conn, error) {
	if err := checkProtocol(proto); err != nil {
		return nil, fmt.Errorf("cluster: dial: %w", err)
	}
	c, err := n.connections.dial(ctx, id, proto)
	if err != nil {
		return nil, fmt.Errorf("cluster: dial %s: %w", id, err)
	}
	return c, nil
}

// PeerID returns the NodeID of the member at the other end of a connection of Listener or Dial.
func PeerID(c net.Conn) string { return port.PeerID(c) }
