package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxIdle  = 64               // idle connections kept for each peer
	idleTime = 90 * time.Second // after which an idle connection is closed
)

var (
	errRefused  = errors.New("refused, not started")
	errPeerGone = errors.New("the peer left or died")
)

// peer is one member that requests may be sent to, with its connections. One connection carries one exchange at a time.
type peer struct {
	id, name  string
	transport *http.Transport
	inFlight  atomic.Int64
	shunUntil atomic.Int64 // Unix nanoseconds

	mu     sync.Mutex
	idle   []*link            // newest last; guarded by mu
	links  map[*link]struct{} // all of them; guarded by mu
	closed bool               // guarded by mu
}

// link is one connection to a peer.
type link struct {
	*http.ClientConn
	wire  *hopConn
	until *time.Timer // closes the connection when it was idle for long
}

func newPeer(id, name string, t *http.Transport) *peer {
	return &peer{id: id, name: name, transport: t, links: make(map[*link]struct{})}
}

func (p *peer) shun(until time.Time)       { p.shunUntil.Store(until.UnixNano()) }
func (p *peer) shunned(now time.Time) bool { return now.UnixNano() < p.shunUntil.Load() }

// roundTrip makes one attempt. With an error, started says whether the peer may have begun with the request.
func (p *peer) roundTrip(req *http.Request, nonce string) (res *http.Response, started bool, err error) {
	p.inFlight.Add(1)
	l, err := p.link(req.Context())
	if err != nil {
		p.inFlight.Add(-1)
		return nil, false, err
	}
	before := l.wire.mark()
	res, err = l.RoundTrip(req)
	if err != nil {
		p.drop(l)
		return nil, l.wire.wroteSince(before), err
	}
	if res.Header.Get(refusedHeader) == nonce {
		p.drop(l) // its body was asked for or not; a new connection is the simple way to be sure
		res.Body.Close()
		return nil, false, errRefused
	}
	res.Header.Del(refusedHeader)
	if res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &tunnel{ReadWriteCloser: res.Body.(io.ReadWriteCloser), done: func() { p.drop(l) }}
		return res, true, nil
	}
	res.Body = &answer{ReadCloser: res.Body, done: func() { p.release(l) }}
	return res, true, nil
}

// link returns an idle connection, or a new one.
func (p *peer) link(ctx context.Context) (*link, error) {
	for {
		l, err := p.takeIdle()
		if err != nil {
			return nil, err
		}
		if l == nil {
			return p.dial(ctx)
		}
		if l.until.Stop() && l.Reserve() == nil {
			return l, nil
		}
		p.forget(l)
	}
}

func (p *peer) takeIdle() (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errPeerGone
	}
	n := len(p.idle)
	if n == 0 {
		return nil, nil
	}
	l := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return l, nil
}

func (p *peer) dial(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	l := &link{}
	ctx = context.WithValue(ctx, linkKey{}, l)
	conn, err := p.transport.NewClientConn(ctx, "http", net.JoinHostPort(p.id, "80"))
	if err != nil {
		return nil, err
	}
	l.ClientConn = conn
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		conn.Close()
		return nil, errPeerGone
	}
	if err := conn.Reserve(); err != nil {
		conn.Close()
		return nil, err
	}
	p.links[l] = struct{}{}
	return l, nil
}

// release ends an exchange whose answer was read to its end or given up; the connection is kept if it is still good.
func (p *peer) release(l *link) {
	p.inFlight.Add(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && l.Available() > 0 && len(p.idle) < maxIdle {
		l.until = time.AfterFunc(idleTime, func() { p.expire(l) })
		p.idle = append(p.idle, l)
		return
	}
	delete(p.links, l)
	l.Close()
}

// drop ends an exchange together with its connection.
func (p *peer) drop(l *link) {
	p.inFlight.Add(-1)
	p.forget(l)
}

// expire closes a connection that nobody has needed for a while.
func (p *peer) expire(l *link) {
	p.mu.Lock()
	p.idle = slices.DeleteFunc(p.idle, func(x *link) bool { return x == l })
	p.mu.Unlock()
	p.forget(l)
}

func (p *peer) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	l.Close()
}

// close cuts every connection.
func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for l := range p.links {
		l.Close()
	}
	clear(p.links)
	for _, l := range p.idle {
		l.until.Stop()
	}
	p.idle = nil
}

// answer tells when a response's body was closed.
type answer struct {
	io.ReadCloser
	once sync.Once
	done func()
}

func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	a.once.Do(a.done)
	return err
}

// tunnel is the same for a connection that switched protocols.
type tunnel struct {
	io.ReadWriteCloser
	once sync.Once
	done func()
}

func (t *tunnel) Close() error {
	err := t.ReadWriteCloser.Close()
	t.once.Do(t.done)
	return err
}
