package proxyproto

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

const (
	headerTime  = 5 * time.Second // within which a header comes; the specification wants three at least
	mostWaiting = 512             // connections of proxies that Accept has not returned
)

// Listener returns connections with the ends that their headers name. All that trusted proxies open begin
// with a header, or are closed; from anybody else none is taken. Accept does not wait for the header of one
// connection before it returns another.
type Listener struct {
	net.Listener
	trusted func(net.Conn) bool
	log     *slog.Logger
	bad     descriptors.Warning // that a proxy sends no header that can be read
	strange descriptors.Warning // that somebody else sends one

	start   sync.Once
	results chan result
	waiting chan struct{} // holds one for each proxy's connection that Accept has not returned
	done    context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

type result struct {
	conn net.Conn
	err  error
}

// NewListener makes a Listener of l. trusted says whose headers are believed.
func NewListener(l net.Listener, trusted func(net.Conn) bool, log *slog.Logger) *Listener {
	p := &Listener{Listener: l, trusted: trusted, log: log, results: make(chan result), waiting: make(chan struct{}, mostWaiting)}
	p.done, p.cancel = context.WithCancel(context.Background())
	return p
}

// Accept returns the next connection, a *Conn. Connections are taken from the listener beneath once it was
// called.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(func() { l.wg.Go(l.run) })
	select {
	case r := <-l.results:
		return r.conn, r.err
	case <-l.done.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener, and connections that Accept has not returned.
func (l *Listener) Close() error {
	l.cancel()
	err := l.Listener.Close()
	l.wg.Wait()
	return err
}

// run takes connections from the listener beneath until it is closed.
func (l *Listener) run() {
	for {
		conn, err := l.Listener.Accept()
		switch {
		case err != nil:
			if !l.give(result{err: err}) || errors.Is(err, net.ErrClosed) {
				return
			}
		case !l.trusted(conn):
			l.give(result{conn: &Conn{Conn: conn, Stranger: true, of: l}})
		default:
			select {
			case l.waiting <- struct{}{}:
				l.wg.Go(func() { l.greet(conn) })
			case <-l.done.Done():
				conn.Close()
			}
		}
	}
}

// give hands something to Accept, and reports false when the listener is closed.
func (l *Listener) give(r result) bool {
	select {
	case l.results <- r:
		return true
	case <-l.done.Done():
		if r.conn != nil {
			r.conn.Close()
		}
		return false
	}
}

// greet reads the header of a proxy's connection.
func (l *Listener) greet(conn net.Conn) {
	defer func() { <-l.waiting }()
	conn.SetReadDeadline(time.Now().Add(headerTime))
	stop := context.AfterFunc(l.done, func() { conn.Close() })
	h, err := Read(conn)
	stop()
	conn.SetReadDeadline(time.Time{})
	if err != nil {
		conn.Close()
		if err != io.EOF && l.done.Err() == nil && l.bad.Due() { // who only looks whether somebody is there sends nothing
			l.log.Error("a trusted proxy's connection has no valid PROXY header, and is closed; have it send one, or turn "+
				"ProxyProtocol off", "proxy", conn.RemoteAddr(), "err", err)
		}
		return
	}
	c := &Conn{Conn: conn, Unnamed: !h.Local && !h.Named()}
	if h.Named() {
		c.remote, c.local = addr(h.Source), addr(h.Destination)
	}
	l.give(result{conn: c})
}

func addr(a netip.AddrPort) net.Addr { return net.TCPAddrFromAddrPort(a) }

// Conn is a connection with the ends that its header names.
type Conn struct {
	net.Conn

	// Unnamed: a proxy passes on what somebody sends, and does not say who that is.
	Unnamed bool

	// Stranger: it is no proxy's. Its first bytes are for Check.
	Stranger bool

	of            *Listener
	checked       atomic.Bool
	remote, local net.Addr // nil = Conn's own
}

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.Conn.RemoteAddr()
}

// LocalAddr returns the address to which the client connected.
func (c *Conn) LocalAddr() net.Addr {
	if c.local != nil {
		return c.local
	}
	return c.Conn.LocalAddr()
}

// ErrStranger says that a header came from somebody who is not trusted.
var ErrStranger = errors.New("a PROXY header from an address that is not trusted")

// Read reads from the connection, and closes a stranger's that begins with a header.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		if err := c.Check(b[:n]); err != nil {
			c.Close()
			return 0, err
		}
	}
	return n, err
}

// Check is for what was read from the connection beneath. It returns ErrStranger if b, the first bytes of a
// stranger's connection, look like a header, and sees to it that an operator hears of it: most often a proxy
// was forgotten.
func (c *Conn) Check(b []byte) error {
	if !c.Stranger || c.checked.Swap(true) || !Begins(b) {
		return nil
	}
	if c.of.strange.Due() {
		c.of.log.Error("a connection from an address that is not trusted has a PROXY header, and is closed; is it a proxy? "+
			"Then it belongs to TrustedProxies", "from", c.Conn.RemoteAddr())
	}
	return ErrStranger
}
