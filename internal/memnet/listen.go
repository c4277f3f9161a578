package memnet

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const backlog = 128 // streams nobody has accepted yet; further dials wait

// listener hands out the streams opened to one port. Guarded by network.mu.
type listener struct {
	network *Network
	host    *host
	addr    addrPort
	cond    *sync.Cond
	queue   []*conn
	closed  bool
}

// Listen listens for streams on addr: a port of this host, 0 = pick one; the IP is the host's or unspecified.
func (h *Host) Listen(addr string) (net.Listener, error) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	machine, at, err := bindLocked(h, addr, func(m *host) map[uint16]*listener { return m.listeners })
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	l := &listener{network: n, host: machine, addr: at, cond: sync.NewCond(&n.mu)}
	machine.listeners[at.port] = l
	n.wakeLocked()
	return l, nil
}

func (l *listener) Accept() (net.Conn, error) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: errClosed}
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	if len(l.queue) == backlog-1 {
		l.network.wakeLocked()
	}
	return c, nil
}

// Close stops listening and resets the streams nobody accepted.
func (l *listener) Close() error {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: errClosed}
	}
	l.closeLocked()
	l.network.wakeLocked()
	return nil
}

func (l *listener) closeLocked() {
	l.closed = true
	delete(l.host.listeners, l.addr.port)
	for _, c := range l.queue {
		c.link.reset(l.addr.ip)
		c.closeLocked()
	}
	l.queue = nil
	l.cond.Broadcast()
}

func (l *listener) Addr() net.Addr { return l.addr.tcp() }

// Dial opens a stream to addr, an IP address and a port. It is refused (syscall.ECONNREFUSED) where nothing listens. While
// a path between the hosts is cut, in whichever direction, it waits for ctx to end.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	to, err := parseAddrPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	c, err := h.dial(ctx, to)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to.tcp(), Err: err}
	}
	return c, nil
}

func (h *Host) dial(ctx context.Context, to addrPort) (net.Conn, error) {
	there, back := h.network.roundTrip(h.ip, to.ip)
	if there > 0 && !sleep.For(ctx, there) {
		return nil, ctx.Err()
	}
	c, err := h.connect(ctx, to)
	if ctx.Err() != nil {
		if c != nil {
			c.Close()
		}
		return nil, ctx.Err()
	}
	if back > 0 && !sleep.For(ctx, back) {
		if c != nil {
			c.Close()
		}
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (n *Network) roundTrip(from, to string) (there, back time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.delays[path{from, to}], n.delays[path{to, from}]
}

// connect tries until it is answered or ctx ends.
func (h *Host) connect(ctx context.Context, to addrPort) (*conn, error) {
	for {
		h.network.mu.Lock()
		c, err := h.connectLocked(to)
		changed := h.network.changed.Next()
		h.network.mu.Unlock()
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// connectLocked returns a stream, a refusal, or neither as long as there is no answer.
func (h *Host) connectLocked(to addrPort) (*conn, error) {
	n := h.network
	machine, err := h.aliveLocked()
	if err != nil {
		return nil, err
	}
	if n.heldLocked(h.ip, to.ip) || n.heldLocked(to.ip, h.ip) {
		return nil, nil
	}
	target := n.hosts[to.ip]
	if target == nil {
		return nil, syscall.EHOSTUNREACH
	}
	l := target.listeners[to.port]
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	if len(l.queue) >= backlog {
		return nil, nil
	}
	port, err := pickPort(machine, machine.listeners)
	if err != nil {
		return nil, err
	}
	stream := n.newLinkLocked(addrPort{h.ip, port}, to)
	l.queue = append(l.queue, stream.ends[1])
	l.cond.Signal()
	return stream.ends[0], nil
}
