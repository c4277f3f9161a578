package cluster

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/line"
)

// streamLayer carries raft's connections. Raft's addresses are server IDs; the directory knows where they
// are, and the handshake makes sure that the other end is that very incarnation.
type streamLayer struct {
	peers  *connections
	server string
	conns  chan net.Conn
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	followers followers

	mu    sync.Mutex
	open  map[*trackedConn]struct{} // nil once closed
	dials map[*dialing]struct{}     // under way
}

// dialing is a connection that is being opened.
type dialing struct {
	to     string // server ID
	cancel context.CancelFunc
}

var _ raft.StreamLayer = (*streamLayer)(nil)

func newStreamLayer(cs *connections, server string) *streamLayer {
	l := &streamLayer{peers: cs, server: server, conns: make(chan net.Conn),
		open: map[*trackedConn]struct{}{}, dials: map[*dialing]struct{}{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
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
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the layer, every connection it carries and every one that is being opened: a peer that went
// silent without a word would otherwise hold up raft's shutdown, which dials one time after the other, for
// seconds or for ever.
func (l *streamLayer) Close() error {
	l.cancel()
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
	ctx, cancel := context.WithTimeout(l.peers.ctx, min(timeout, dialTimeout))
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	defer l.dialing(string(address), cancel)()
	c, err := l.peers.dialRaft(ctx, string(address))
	if err != nil {
		return nil, err
	}
	return l.track(line.NewConn(c, &l.followers.of(string(address)).line), string(address))
}

// dialing notes that a connection is being opened, until the returned function is called.
func (l *streamLayer) dialing(to string, cancel context.CancelFunc) (done func()) {
	d := &dialing{to, cancel}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials[d] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.dials, d)
	}
}

// offer hands an accepted connection to raft.
func (l *streamLayer) offer(c net.Conn) {
	t, err := l.track(line.NewConn(c, nil), "")
	if err != nil {
		return
	}
	select {
	case l.conns <- t:
	case <-l.ctx.Done():
		t.Close()
	}
}

// track has a connection closed with the layer. to is the server that it was opened to; "" if that one opened
// it.
func (l *streamLayer) track(c net.Conn, to string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		c.Close()
		return nil, net.ErrClosed
	}
	t := &trackedConn{Conn: c, layer: l, to: to}
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

// hangUpOn ends every connection that this node has opened to a server, or is opening: whoever is in a call
// over one gets an error at once.
func (l *streamLayer) hangUpOn(server string) {
	l.mu.Lock()
	var open []*trackedConn
	for c := range l.open {
		if c.to == server {
			open = append(open, c)
		}
	}
	for d := range l.dials {
		if d.to == server {
			d.cancel()
		}
	}
	l.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}
