package forward

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errRefused  = errors.New("refused, not started")
	errPeerGone = errors.New("the peer left or died")
)

// peer is one member that requests may be sent to, with its connections.
type peer struct {
	id, name  string
	pool      *pool
	inFlight  atomic.Int64 // requests that wait for a connection, or have one
	shunUntil atomic.Int64 // Unix nanoseconds
}

func newPeer(id, name string, h *hop) *peer {
	return &peer{id: id, name: name, pool: newPool(id, h.transport, &h.dials, h.room)}
}

func (p *peer) shun(until time.Time)       { p.shunUntil.Store(until.UnixNano()) }
func (p *peer) shunned(now time.Time) bool { return now.UnixNano() < p.shunUntil.Load() }

// roundTrip makes one attempt. With an error, started says whether the peer may have begun with the request.
func (p *peer) roundTrip(req *http.Request, nonce string) (res *http.Response, started bool, err error) {
	p.inFlight.Add(1)
	l, err := p.pool.get(req.Context(), originOf(req))
	if err != nil {
		p.inFlight.Add(-1)
		return nil, false, err
	}
	before := l.wire.mark()
	res, err = l.RoundTrip(req)
	if err != nil {
		l.Close()
		p.done(l, req.Context().Err() != nil)
		return nil, l.wire.wroteSince(before), err
	}
	if res.Header.Get(refusedHeader) == nonce {
		l.Close() // its body was asked for or not; a new connection is the simple way to be sure
		p.done(l, false)
		res.Body.Close()
		return nil, false, errRefused
	}
	res.Header.Del(refusedHeader)
	if res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &tunnel{ReadWriteCloser: res.Body.(io.ReadWriteCloser), done: func() {
			l.Close()
			p.done(l, true)
		}}
		return res, true, nil
	}
	blame := !res.Close || req.Body != nil // a peer may end its connections for reasons of its own
	res.Body = &answer{ReadCloser: res.Body, done: func() { p.done(l, blame) }}
	return res, true, nil
}

// done ends an exchange. Its connection is kept if it is still good; if not, blame says that the request has
// used it up.
func (p *peer) done(l *link, blame bool) {
	p.inFlight.Add(-1)
	p.pool.put(l, blame)
}

// close cuts every connection.
func (p *peer) close() { p.pool.close() }

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
