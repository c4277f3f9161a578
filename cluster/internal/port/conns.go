package port

import (
	"context"
	"net"
	"sync"
	"time"
)

// conn is a connection beneath its TLS. The port knows it until it is closed.
type conn struct {
	net.Conn
	port    *Port
	counted bool                    // of an application's protocol, and accepted; guarded by the port's mu
	peer    string                  // NodeID of the one that dialled, if counted; guarded by the port's mu
	gone    context.CancelCauseFunc // of an accepted one: ends its handshake at once
}

// Close closes the connection and lets the port forget it.
func (c *conn) Close() error {
	c.port.mu.Lock()
	delete(c.port.conns, c)
	if c.counted {
		c.port.served--
		if c.port.servedOf[c.peer]--; c.port.servedOf[c.peer] == 0 {
			delete(c.port.servedOf, c.peer)
		}
		c.counted = false
	}
	c.port.mu.Unlock()
	if c.gone != nil {
		c.gone(net.ErrClosed)
	}
	return c.Conn.Close()
}

// NetConn returns the connection of the network.
func (c *conn) NetConn() net.Conn { return c.Conn }

// admit counts a connection that an application is to get, until it is closed, unless there are as many as
// there may be. One peer may have no more than are free: so none can hold all of them, however many peers
// hold what they can, and one that has none yet finds some (dynamic thresholds: Choudhury and Hahne, 1998).
func (p *Port) admit(c *conn, peer string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.maxServed - p.served
	if _, open := p.conns[c]; !open || free <= 0 || p.servedOf[peer] >= free {
		return false
	}
	p.served++
	p.servedOf[peer]++
	c.counted, c.peer = true, peer
	return true
}

// track takes raw into the port's keeping; if the port is closed, it closes raw and returns false.
func (p *Port) track(raw net.Conn) (*conn, bool) {
	c := &conn{Conn: raw, port: p}
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.conns[c] = struct{}{}
	}
	p.mu.Unlock()
	if closed {
		raw.Close()
	}
	return c, !closed
}

const (
	warnEvery = time.Minute
	maxHosts  = 1024 // remembered for warnings
)

// warnings limits the warnings about one host to one in warnEvery.
type warnings struct {
	mu    sync.Mutex
	hosts map[string]*warning
}

type warning struct {
	at    time.Time
	quiet int // refusals since then
}

// due says whether to warn about host now, and of how many refusals since the last time; 0 = not now. With
// too many hosts to remember it stays quiet about new ones.
func (w *warnings) due(host string, now time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.hosts[host]; known != nil {
		known.quiet++
		if now.Sub(known.at) < warnEvery {
			return 0
		}
		n := known.quiet
		known.at, known.quiet = now, 0
		return n
	}
	if len(w.hosts) >= maxHosts {
		w.forgetLocked(now)
	}
	if len(w.hosts) >= maxHosts {
		return 0
	}
	if w.hosts == nil {
		w.hosts = make(map[string]*warning)
	}
	w.hosts[host] = &warning{at: now}
	return 1
}

func (w *warnings) forgetLocked(now time.Time) {
	for host, known := range w.hosts {
		if now.Sub(known.at) >= warnEvery {
			delete(w.hosts, host)
		}
	}
}
