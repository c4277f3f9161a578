// Package port is the one port on which the nodes of a farm talk to each other: TCP and UDP on the same
// number.
//
// TCP carries TLS 1.3 with mutual authentication. The ALPN name picks the protocol, "webfarm-raft/1" and the
// like, so a connection reaches the code behind a protocol only after both ends have proved that they know
// the farm's secret. The accepting end then writes one byte before anything else: a TLS 1.3 client does not
// learn from the handshake that it was refused, and with that byte Dial can say so instead of some read later
// on. It costs Dial one round trip.
//
// UDP is handed out as it is; gossip encrypts its packets itself.
//
// Strangers may knock. A connection has five seconds to complete its handshake, the number of those that have
// not is bounded, and when too many wait, those go first whose host has the most of them, and then the
// oldest: one that has waited for a second is no node of this farm.
//
// Handshakes are paced at both ends, each class of protocols for itself (package link). At the accepting end
// the class is known from the client's first message, before anything is computed for it. So a flood of one
// class costs a bounded share of the processors, and the others nothing.
package port

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

const (
	handshakeTimeout = 5 * time.Second
	mostPending      = 256         // connections of a class before the end of their handshake, at most
	evictAfter       = time.Second // a pending connection this old makes room for a new one
	backlog          = 128         // accepted connections of one protocol that nobody has taken yet
	portTries        = 20          // to find a number free for both TCP and UDP
	packetBuffer     = 4 << 20     // bytes the system shall hold of packets not yet read
	accepted         = byte('+')   // first byte from the accepting end
	alpnPrefix       = "webfarm-"  // ALPN name: alpnPrefix + proto + alpnSuffix
	alpnSuffix       = "/1"        //
)

// Port is an open peer port. Its methods may be called by many goroutines.
type Port struct {
	network Network
	id      *trust.Identity
	log     *slog.Logger
	dials   *link.Budget
	accepts *link.Budget
	tcp     net.Listener
	udp     net.PacketConn

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
	refused atomic.Uint64
	warned  warnings
	failing descriptors.Warning // that accept fails

	maxPending int // connections before the end of their handshake
	maxServed  int // connections of applications that were accepted

	mu        sync.Mutex
	closed    bool
	listeners map[string]*listener // by ALPN name
	conns     map[*conn]struct{}   // all open connections, both directions
	pending   pending              // those accepted and not through their handshake
	served    int                  // those that count towards maxServed
	servedOf  map[string]int       // of these, by the NodeID that dialled
}

// Open binds addr, for TCP and UDP on one number, and begins to accept. A port number of 0 picks one. Nothing
// is accepted for a protocol before its Listener was asked for. log gets warnings only where an operator has
// to act.
func Open(nw Network, addr string, id *trust.Identity, log *slog.Logger) (*Port, error) {
	tcp, udp, err := bind(nw, addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: another process has this port; end that one, or give this node another port",
			err)
	}
	if err != nil {
		return nil, fmt.Errorf("peer port: %w", err)
	}
	p := &Port{
		network:   nw,
		id:        id,
		log:       log,
		tcp:       tcp,
		udp:       udp,
		dials:     link.Dialling(),
		accepts:   link.Accepting(),
		listeners: make(map[string]*listener),
		pending:   make(pending),
		conns:     make(map[*conn]struct{}),
		servedOf:  make(map[string]int),
	}
	p.maxPending, p.maxServed = bounds(descriptors.Limit())
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.running.Go(p.acceptLoop)
	return p, nil
}

// bounds returns how many connections may be open before the end of their handshake, and of applications
// after that, for a process that may have so many descriptors; 0 = no limit is known.
func bounds(descriptors int) (pending, served int) {
	if descriptors == 0 {
		return mostPending, math.MaxInt
	}
	return max(min(descriptors/16, mostPending), 8), max(descriptors/8, 8)
}

func bind(nw Network, addr string) (net.Listener, net.PacketConn, error) {
	host, number, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	if number != "0" && number != "" {
		return bindBoth(nw, addr, host)
	}
	for range portTries {
		tcp, udp, tryErr := bindBoth(nw, net.JoinHostPort(host, "0"), host)
		if tryErr == nil {
			return tcp, udp, nil
		}
		err = tryErr
	}
	return nil, nil, fmt.Errorf("no number free for both TCP and UDP in %d tries: %w", portTries, err)
}

func bindBoth(nw Network, addr, host string) (net.Listener, net.PacketConn, error) {
	tcp, err := nw.Listen(addr)
	if err != nil {
		return nil, nil, err
	}
	_, number, err := net.SplitHostPort(tcp.Addr().String())
	if err != nil {
		tcp.Close()
		return nil, nil, err
	}
	udp, err := nw.ListenPacket(net.JoinHostPort(host, number))
	if err != nil {
		tcp.Close()
		return nil, nil, err
	}
	if b, ok := udp.(interface{ SetReadBuffer(int) error }); ok {
		b.SetReadBuffer(packetBuffer) // the system may grant less
	}
	return tcp, udp, nil
}

// Addr returns the bound address. Its IP is unspecified if the port listens on every address of the machine.
func (p *Port) Addr() netip.AddrPort {
	addr, err := netip.ParseAddrPort(p.tcp.Addr().String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// Packets returns the UDP side. Close closes it.
func (p *Port) Packets() net.PacketConn { return p.udp }

// Refused returns how many incoming connections were turned away so far.
func (p *Port) Refused() uint64 { return p.refused.Load() }

// Dial opens a connection of protocol proto to the node at addr. It returns once the other end has accepted
// it. wantNode is the NodeID that must be there; "" takes any node of this farm. Without an end of its own,
// ctx waits as long as the network does to connect, and as other dials of this class to that node do; the
// handshake has five seconds.
//
// Errors that wrap trust.ErrWrongSecret, trust.ErrWrongFarm or trust.ErrWrongNode say who is there instead;
// one that wraps ErrRefused says that the other end turned us away; net.ErrClosed, that this port was closed.
func (p *Port) Dial(ctx context.Context, addr, proto, wantNode string) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(net.ErrClosed) })()

	slot, err := p.dials.Begin(ctx, link.ClassOf(proto), cmp.Or(wantNode, addr))
	if err != nil {
		return nil, dialError(ctx, addr, proto, err)
	}
	defer slot.End()
	raw, err := p.network.Dial(ctx, addr)
	if err != nil {
		return nil, dialError(ctx, addr, proto, err)
	}
	c, ok := p.track(raw)
	if !ok {
		return nil, dialError(ctx, addr, proto, net.ErrClosed)
	}
	return secured(ctx, c, slot, p.id, addr, proto, wantNode)
}

// DialAs is Dial for a node whose Port is not open yet: so whoever answers is another process.
func DialAs(ctx context.Context, nw Network, id *trust.Identity, addr, proto, wantNode string) (net.Conn,
	error) {
	raw, err := nw.Dial(ctx, addr)
	if err != nil {
		return nil, dialError(ctx, addr, proto, err)
	}
	return secured(ctx, raw, nil, id, addr, proto, wantNode)
}

// secured brings a dialled connection to where Dial returns it, or closes it. slot may be nil.
func secured(ctx context.Context, c net.Conn, slot *link.Slot, id *trust.Identity,
	addr, proto, wantNode string) (net.Conn, error) {

	within, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	paced := link.Pace(within, c)
	defer paced.Over()
	secure := tls.Client(paced, id.Client(alpn(proto), wantNode))
	err := paced.Take(slot)
	if err == nil {
		err = open(within, secure)
	}
	if err != nil {
		c.Close()
		return nil, dialError(ctx, addr, proto, err)
	}
	return peerConn{Conn: secure}, nil
}

// peerConn hides the *tls.Conn within: net/http, when it sees one, drops the connection for an ALPN name it
// does not know. So HTTP servers and transports take it for a plain connection, and learn who is at the other
// end from PeerID (in http.Server's ConnContext).
type peerConn struct {
	*tls.Conn
	since time.Time // of an accepted one: before the other end could know
}

// ErrRefused says that the other end ended a connection instead of accepting it. The reason is in its log.
var ErrRefused = errors.New("refused by the other end")

// open brings a dialled connection to the byte that says it was accepted, or to the end of ctx.
func open(ctx context.Context, c *tls.Conn) error {
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	var answer [1]byte
	_, err := c.Read(answer[:])
	switch {
	case !stop():
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case answer[0] != accepted:
		return fmt.Errorf("%w: unexpected answer %#x", ErrRefused, answer[0])
	}
	return nil
}

func dialError(ctx context.Context, addr, proto string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("dial %s for %s: %w", addr, proto, err)
}

// PeerID returns the NodeID at the other end of a connection from a Port's Listener or Dial, and "" for any
// other.
func PeerID(c net.Conn) string {
	secure, ok := c.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return ""
	}
	id, err := trust.PeerID(secure.ConnectionState())
	if err != nil {
		return ""
	}
	return id
}

// Since returns a moment before the other end of an accepted connection could say anything: what it says came
// later, however late it is read. For any other connection that is now.
func Since(c net.Conn) time.Time {
	if p, ok := c.(peerConn); ok && !p.since.IsZero() {
		return p.since
	}
	return time.Now()
}

// Close closes the port, its listeners and every connection of it, and waits until nothing of it runs.
// Connections are cut, not said good-bye to: who wants that does it before.
func (p *Port) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	open, listeners := p.conns, p.listeners
	p.conns, p.listeners = nil, nil
	p.mu.Unlock()
	if first {
		p.cancel()
		p.tcp.Close()
		p.udp.Close()
		for _, l := range listeners {
			l.shut()
		}
		for c := range open {
			c.Conn.Close()
		}
	}
	p.running.Wait()
	return nil
}

func alpn(proto string) string { return alpnPrefix + proto + alpnSuffix }
