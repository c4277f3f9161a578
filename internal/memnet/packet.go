package memnet

import (
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	packetQueue = 1024  // packets a socket holds for its reader; further ones are dropped
	maxPacket   = 65507 // bytes, as in UDP over IPv4
)

type packet struct {
	data []byte
	from addrPort
}

// packetConn is a packet socket. Guarded by network.mu.
type packetConn struct {
	network *Network
	host    *host
	addr    addrPort
	cond    *sync.Cond
	queue   []packet
	closed  bool
	timer   *time.Timer
	turn    int // counts deadlines
	late    bool
}

// ListenPacket opens a packet socket on addr: a port of this host, 0 = pick one; the IP is the host's or unspecified.
func (h *Host) ListenPacket(addr string) (net.PacketConn, error) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	machine, at, err := bindLocked(h, addr, func(m *host) map[uint16]*packetConn { return m.packets })
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: err}
	}
	c := &packetConn{network: n, host: machine, addr: at, cond: sync.NewCond(&n.mu)}
	machine.packets[at.port] = c
	return c, nil
}

// ReadFrom waits for the next packet. What does not fit into p is lost.
func (c *packetConn) ReadFrom(p []byte) (int, net.Addr, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, nil, c.opError("read", errClosed)
		case c.late:
			return 0, nil, c.opError("read", errTimeout)
		case len(c.queue) > 0:
			next := c.queue[0]
			c.queue = c.queue[1:]
			return copy(p, next.data), next.from.udp(), nil
		}
		c.cond.Wait()
	}
}

// WriteTo sends a packet. That it was sent says nothing about its arrival.
func (c *packetConn) WriteTo(data []byte, addr net.Addr) (int, error) {
	to, err := parseAddrPort(addr.String())
	if err != nil {
		return 0, c.opError("write", err)
	}
	if len(data) > maxPacket {
		return 0, c.opError("write", syscall.EMSGSIZE)
	}
	n := c.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return 0, c.opError("write", errClosed)
	}
	if p := n.losses[path{c.addr.ip, to.ip}]; p > 0 && rand.Float64() < p {
		return len(data), nil
	}
	sent := packet{append([]byte(nil), data...), c.addr}
	if delay := n.delays[path{c.addr.ip, to.ip}]; delay > 0 {
		time.AfterFunc(delay, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.deliverLocked(sent, to)
		})
	} else {
		n.deliverLocked(sent, to)
	}
	return len(data), nil
}

func (n *Network) deliverLocked(p packet, to addrPort) {
	machine := n.hosts[to.ip]
	if machine == nil || n.heldLocked(p.from.ip, to.ip) {
		return
	}
	c := machine.packets[to.port]
	if c == nil || len(c.queue) >= packetQueue {
		return
	}
	c.queue = append(c.queue, p)
	c.cond.Signal()
}

func (c *packetConn) Close() error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return c.opError("close", errClosed)
	}
	c.closeLocked()
	return nil
}

func (c *packetConn) closeLocked() {
	c.closed = true
	c.queue = nil
	delete(c.host.packets, c.addr.port)
	c.stopTimerLocked()
	c.cond.Broadcast()
}

func (c *packetConn) LocalAddr() net.Addr { return c.addr.udp() }

func (c *packetConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return c.opError("set", errClosed)
	}
	c.stopTimerLocked()
	wait := time.Until(t)
	c.late = !t.IsZero() && wait <= 0
	if wait > 0 {
		turn := c.turn
		c.timer = time.AfterFunc(wait, func() { c.pass(turn) })
	}
	c.cond.Broadcast()
	return nil
}

// SetWriteDeadline does nothing: no write ever waits.
func (c *packetConn) SetWriteDeadline(time.Time) error { return nil }

func (c *packetConn) stopTimerLocked() {
	c.turn++
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

func (c *packetConn) pass(turn int) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.turn == turn {
		c.late = true
		c.cond.Broadcast()
	}
}

func (c *packetConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Err: err}
}
