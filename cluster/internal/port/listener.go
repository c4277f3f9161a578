package port

import (
	"net"
	"sync"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
)

// listener hands out the connections of one protocol.
type listener struct {
	port  *Port
	name  string       // ALPN
	class link.Class   // of its connections
	admin *trust.Admin // of the listener of those who operate the farm, else nil

	bounded bool // its connections are an application's, so their number is bounded
	queue   chan net.Conn
	done    chan struct{} // closed by shut
	once    sync.Once
}

// Listener returns the connections that other nodes open with Dial(…, proto, …). It may be asked for at any
// time; as long as it is open, asking again returns the same one. Closing it refuses further connections and
// closes those nobody took; it leaves the taken ones alone. On a closed port, Accept returns net.ErrClosed.
func (p *Port) Listener(proto string) net.Listener { return p.listener(proto, nil, false) }

// AppListener is Listener for the protocols of applications. Their connections together take an eighth of the
// file descriptors that the process may have, so that those of the farm itself find some; what is more is
// refused.
func (p *Port) AppListener(proto string) net.Listener { return p.listener(proto, nil, true) }

func (p *Port) listener(proto string, admin *trust.Admin, bounded bool) net.Listener {
	name := alpn(proto)
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.listeners[name]; l != nil {
		return l
	}
	l := &listener{port: p, name: name, class: link.ClassOf(proto), admin: admin, bounded: bounded,
		queue: make(chan net.Conn, backlog), done: make(chan struct{})}
	if p.closed {
		l.shut()
		return l
	}
	p.listeners[name] = l
	return l
}

// Accept waits for the next connection. Its handshake is done.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, l.closedError()
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, l.closedError()
	}
}

func (l *listener) closedError() error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
}

// put queues c without waiting.
func (l *listener) put(c net.Conn) error {
	select {
	case l.queue <- c:
	default:
		return errFull
	}
	select {
	case <-l.done: // closed meanwhile: nobody else may empty the queue any more
		l.empty()
	default:
	}
	return nil
}

// Close stops the listener.
func (l *listener) Close() error {
	l.port.mu.Lock()
	if l.port.listeners[l.name] == l {
		delete(l.port.listeners, l.name)
	}
	l.port.mu.Unlock()
	l.shut()
	return nil
}

func (l *listener) shut() {
	l.once.Do(func() { close(l.done) })
	l.empty()
}

func (l *listener) empty() {
	for {
		select {
		case c := <-l.queue:
			c.Close()
		default:
			return
		}
	}
}

// Addr returns the address of the port.
func (l *listener) Addr() net.Addr { return l.port.tcp.Addr() }
