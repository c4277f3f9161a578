package cluster

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// streamLayer carries raft's connections. Raft's addresses are server IDs; the directory knows where they are, and the
// handshake makes sure that the other end is that very incarnation.
type streamLayer struct {
	node   *Node
	server string
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	open map[net.Conn]struct{} // nil once closed
}

var _ raft.StreamLayer = (*streamLayer)(nil)

func newStreamLayer(n *Node, server string) *streamLayer {
	return &streamLayer{node: n, server: server, conns: make(chan net.Conn), closed: make(chan struct{}),
		open: map[net.Conn]struct{}{}}
}

// raftAddr is a server ID as a net.Addr.
type raftAddr string

func (raftAddr) Network() string  { return "raft" }
func (a raftAddr) String() string { return string(a) }

func (l *streamLayer) Addr() net.Addr { return raftAddr(l.server) }

func (l *streamLayer) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the layer and every connection it carries: a peer that went silent without a word would otherwise hold up
// raft's shutdown for ever.
func (l *streamLayer) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for c := range open {
		c.Close()
	}
	return nil
}

// Dial connects to the incarnation that address names, or fails.
func (l *streamLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.node.ctx, min(timeout, dialTimeout))
	defer cancel()
	c, err := l.node.dial(ctx, nodeOf(string(address)), protoRaft)
	if err != nil {
		return nil, err
	}
	if err := l.node.greet(c, string(address)); err != nil {
		c.Close()
		return nil, err
	}
	return l.track(c)
}

// offer hands an accepted connection to raft.
func (l *streamLayer) offer(c net.Conn) {
	t, err := l.track(c)
	if err != nil {
		return
	}
	select {
	case l.conns <- t:
	case <-l.closed:
		t.Close()
	}
}

func (l *streamLayer) track(c net.Conn) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		c.Close()
		return nil, net.ErrClosed
	}
	t := &trackedConn{Conn: c, layer: l}
	l.open[t] = struct{}{}
	return t, nil
}

// hangUp ends every connection that is open now. Both sides open new ones when they need them.
func (l *streamLayer) hangUp() {
	l.mu.Lock()
	open := slices.Collect(maps.Keys(l.open))
	l.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

type trackedConn struct {
	net.Conn
	layer *streamLayer
}

func (t *trackedConn) Close() error {
	t.layer.mu.Lock()
	delete(t.layer.open, t)
	t.layer.mu.Unlock()
	return t.Conn.Close()
}

// acceptRaft hands the raft connections that other members open to the present Raft instance.
func (n *Node) acceptRaft(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		n.wg.Go(func() {
			h, err := n.receive(c, true)
			in := n.instance()
			if err == nil && in.server != h.dest { // replaced since
				err = errNotMe
			}
			if err != nil {
				n.log.Debug("raft connection refused", keyError, err)
				c.Close()
				return
			}
			in.layer.offer(c)
		})
	}
}
