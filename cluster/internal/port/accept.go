package port

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// acceptLoop takes connections until the port is closed. Nothing in it waits for a peer.
func (p *Port) acceptLoop() {
	delay := time.Duration(0)
	for {
		raw, err := p.tcp.Accept()
		if p.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if err == nil {
				raw.Close()
			}
			return
		}
		if err != nil {
			delay = p.acceptFailed(err, delay)
			continue
		}
		delay = 0
		p.begin(raw)
	}
}

// acceptFailed waits before the next try, twice as long as the last time: out of file descriptors, usually.
func (p *Port) acceptFailed(err error, delay time.Duration) time.Duration {
	if delay == 0 && p.failing.Due() {
		p.log.Warn("the peer port cannot accept connections; trying again", "err", descriptors.Explain(err))
	}
	delay = descriptors.Pause(delay)
	sleep.For(p.ctx, delay)
	return delay
}

// begin starts the handshake of one connection, if there is room for it.
func (p *Port) begin(raw net.Conn) {
	c, ok := p.track(raw)
	if !ok {
		return
	}
	ctx, gone := context.WithCancelCause(p.ctx)
	c.gone = gone
	if err := p.await("", c); err != nil {
		p.refuse(c, err)
		return
	}
	p.running.Go(func() { p.welcome(ctx, c) })
}

// await notes that a connection waits for the end of its handshake, with those of its class. Another one may
// have to go for it.
func (p *Port) await(class link.Class, c *conn) error {
	p.mu.Lock()
	p.pending.remove(c)
	evicted, ok := p.pending.add(class, c, p.maxPending, time.Now())
	p.mu.Unlock()
	if evicted != nil {
		evicted.Close()
	}
	if !ok {
		return errBusy
	}
	return nil
}

var (
	errBusy    = errors.New("too many connections wait for their handshake")
	errUnknown = errors.New("nothing here listens for this protocol")
	errFull    = errors.New("accepted connections are not taken fast enough")
	errMany    = errors.New("as many connections of applications are open as there are file descriptors for")
)

// welcome does the handshake of one connection and hands it to the listener of its protocol.
func (p *Port) welcome(ctx context.Context, c *conn) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	c.SetDeadline(time.Now().Add(handshakeTimeout))
	paced := link.Pace(ctx, c)
	config := func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		l := p.wanted(hello.SupportedProtos)
		if err := p.pace(ctx, paced, c, l); err != nil {
			return nil, err
		}
		return p.configFor(hello, l)
	}
	secure := tls.Server(paced, &tls.Config{GetConfigForClient: config})
	err := secure.Handshake()
	paced.Over()
	p.mu.Lock()
	p.pending.remove(c)
	p.mu.Unlock()
	if err == nil {
		err = p.deliver(c, secure)
	}
	if err != nil {
		p.refuse(c, err)
	}
}

// pace waits for the turn of a connection among those of its class, once that is known. Nothing was computed
// for it yet.
func (p *Port) pace(ctx context.Context, paced *link.Handshake, c *conn, l *listener) error {
	class := link.Public // for what nobody listens for
	if l != nil {
		class = l.class
	}
	if err := p.await(class, c); err != nil {
		return err
	}
	slot, err := p.accepts.Begin(ctx, class, hostOf(c))
	if err != nil {
		return err
	}
	return paced.Take(slot)
}

// configFor answers a client with the one protocol it named and l listens for.
func (p *Port) configFor(hello *tls.ClientHelloInfo, l *listener) (*tls.Config, error) {
	switch {
	case l == nil:
		// A proper answer, so that the client learns why: an ALPN name that no client names.
		return p.id.Server(alpn("")), nil
	case l.admin != nil:
		return l.admin.Config(l.name), nil
	default:
		return p.id.ServerFor(hello, l.name)
	}
}

func (p *Port) wanted(protos []string) *listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range protos {
		if l := p.listeners[name]; l != nil {
			return l
		}
	}
	return nil
}

func (p *Port) deliver(c *conn, secure *tls.Conn) error {
	p.mu.Lock()
	l := p.listeners[secure.ConnectionState().NegotiatedProtocol]
	p.mu.Unlock()
	switch {
	case l == nil:
		return errUnknown
	case len(l.queue) == cap(l.queue):
		return errFull
	case l.bounded:
		peer, err := trust.PeerID(secure.ConnectionState())
		if err != nil {
			return err
		}
		if !p.admit(c, peer) {
			return errMany
		}
	}
	since := time.Now()
	if _, err := secure.Write([]byte{accepted}); err != nil {
		return err
	}
	if err := secure.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return l.put(peerConn{secure, since})
}

// refuse closes a connection that did not get through, counts it, and warns about its host from time to time.
func (p *Port) refuse(c *conn, err error) {
	c.Close()
	if p.ctx.Err() != nil {
		return
	}
	p.refused.Add(1)
	host := hostOf(c)
	p.log.Debug("peer connection refused", "from", c.RemoteAddr(), "err", err)
	if harmless(err) {
		return
	}
	if n := p.warned.due(host, time.Now()); n > 0 {
		p.log.Warn("peer connections refused", "from", host, "count", n, "err", explain(err))
	}
}

// harmless tells what happens to every port: somebody connects, says nothing and goes. Health checks do.
func harmless(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}

// explain adds to an error what an operator can do about it, where it does not say so itself.
func explain(err error) error {
	var plain tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.As(err, &plain):
		return fmt.Errorf("this is not TLS; only nodes of the farm belong on the peer port: %w", err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no handshake within %v: %w", handshakeTimeout, err)
	case errors.As(err, &alert) && alert.Op == "remote error":
		return fmt.Errorf("the other end refused this node; its secrets (FARM_SECRET), its farm's name, or "+
			"its authorities "+
			"(PeerTLS) are others: %w", err)
	}
	return err
}
