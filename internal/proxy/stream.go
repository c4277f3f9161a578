package proxy

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	pieceSize = 16 << 10
	underway  = 64 // pieces of one direction
)

// accept takes the connections to one node.
func (n *Network) accept(d *door) {
	for {
		c, err := d.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			n.wg.Go(func() { n.serve(c, d) })
		}
	}
}

// serve carries one connection to the node of d.
func (n *Network) serve(caller *net.TCPConn, d *door) {
	defer caller.Close()
	defer context.AfterFunc(n.ctx, func() { caller.Close() })()
	from, open := n.owner(addrOf(caller.RemoteAddr()), addrOf(caller.LocalAddr()))
	if from == "" {
		if open {
			n.strangers.Add(1)
		}
		return
	}
	if n.cutBetween(from, d.node) {
		n.hung.Add(1)
		n.open(from, d.node)
		n.open(d.node, from)
		reset(caller) // by now the caller has given up
		return
	}
	called, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(d.real))
	if err != nil {
		reset(caller)
		return
	}
	defer called.Close()
	defer context.AfterFunc(n.ctx, func() { called.Close() })()
	var both sync.WaitGroup
	both.Go(func() { n.carry(caller, called, from, d.node) })
	both.Go(func() { n.carry(called, caller, d.node, from) })
	both.Wait()
}

// cutBetween reports whether two nodes cannot open a connection.
func (n *Network) cutBetween(a, b string) bool {
	there, _ := n.link(a, b)
	back, _ := n.link(b, a)
	return there.Cut || back.Cut
}

// piece is a part of a stream on its way.
type piece struct {
	data []byte
	due  time.Time
	err  error // instead of data: how the stream ended
}

// carry takes one direction of a connection from one end to the other.
func (n *Network) carry(src, dst *net.TCPConn, from, to string) {
	pieces := make(chan piece, underway)
	var reader sync.WaitGroup
	reader.Go(func() { n.read(src, from, to, pieces) })
	broken := false
	for p := range pieces {
		if sleep.For(n.ctx, time.Until(p.due)) && n.open(from, to) && !broken {
			broken = write(dst, p) != nil // the other direction learns why, and tells
		}
	}
	reader.Wait()
}

// read cuts a stream into pieces.
func (n *Network) read(src *net.TCPConn, from, to string, pieces chan<- piece) {
	defer close(pieces)
	var thin thinLine
	for {
		buf := make([]byte, pieceSize)
		size, err := src.Read(buf)
		l, _ := n.link(from, to)
		sleep.For(n.ctx, thin.carry(size, l.Rate)) // so that the sender is held up, but for what the system keeps
		due := time.Now().Add(l.Delay)
		if rand.Float64() < l.Loss {
			due = due.Add(resendAfter)
		}
		if size > 0 {
			pieces <- piece{data: buf[:size], due: due}
		}
		if err != nil {
			pieces <- piece{err: err, due: due}
			return
		}
	}
}

// write passes on a piece, or the end of the stream.
func write(dst *net.TCPConn, p piece) error {
	switch {
	case p.err == nil:
		_, err := dst.Write(p.data)
		return err
	case errors.Is(p.err, io.EOF):
		return dst.CloseWrite()
	}
	reset(dst)
	return nil
}

// reset closes a connection in the way a process that ends without reading all does.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

func addrOf(a net.Addr) netip.AddrPort {
	addr := a.(*net.TCPAddr).AddrPort() // of a TCPConn
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}
