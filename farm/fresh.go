package farm

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// freshWait is how long a connection may take to send its first request before a shutdown stops waiting for it.
const freshWait = time.Second

// freshConns counts the connections that have not sent a request yet, and those whose request is being answered:
// from its first byte to the end of its answer. For a tcpConn that has sent one it takes no lock.
type freshConns struct {
	busy    atomic.Int64 // how many have a request that is being answered
	awaited atomic.Bool  // somebody may wait for idle

	mu     sync.Mutex
	conns  map[net.Conn]struct{} // guarded by mu
	over   bool                  // later ones are closed; guarded by mu
	none   chan struct{}         // closed when conns becomes empty; nil while nobody waits; guarded by mu
	others map[net.Conn]struct{} // those of busy that are no tcpConn; guarded by mu
	idle   chan struct{}         // closed when busy becomes 0; nil while nobody waits; guarded by mu
}

// turn is what a tcpConn keeps for freshConns.
type turn struct {
	known atomic.Bool // it has sent a request
	busy  atomic.Bool // it counts among busy
}

// hook returns a ConnState that counts and then calls next, if there is one.
func (c *freshConns) hook(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, s http.ConnState) {
		c.note(conn, s)
		if next != nil {
			next(conn, s)
		}
	}
}

func (c *freshConns) note(conn net.Conn, s http.ConnState) {
	t, ok := beneath(conn).(*tcpConn)
	if ok && t.turn.known.Load() {
		if c.count(&t.turn.busy, s == http.StateActive) {
			c.mu.Lock()
			c.tellLocked()
			c.mu.Unlock()
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s == http.StateNew:
		c.addLocked(conn)
		return
	case ok:
		t.turn.known.Store(true)
		c.count(&t.turn.busy, s == http.StateActive)
	default:
		c.countOtherLocked(conn, s == http.StateActive)
	}
	delete(c.conns, conn)
	if len(c.conns) == 0 && c.none != nil {
		close(c.none)
		c.none = nil
	}
	c.tellLocked()
}

func (c *freshConns) addLocked(conn net.Conn) {
	if c.over {
		closeNow(conn)
		return
	}
	if c.conns == nil {
		c.conns, c.others = make(map[net.Conn]struct{}), make(map[net.Conn]struct{})
	}
	c.conns[conn] = struct{}{}
}

// count notes whether a connection is busy, and reports whether somebody may have to be told that none is.
func (c *freshConns) count(was *atomic.Bool, busy bool) (tell bool) {
	switch {
	case was.Swap(busy) == busy:
		return false
	case busy:
		c.busy.Add(1)
		return false
	}
	return c.busy.Add(-1) == 0 && c.awaited.Load()
}

func (c *freshConns) countOtherLocked(conn net.Conn, busy bool) {
	switch _, was := c.others[conn]; {
	case was == busy || c.others == nil:
	case busy:
		c.others[conn] = struct{}{}
		c.busy.Add(1)
	default:
		delete(c.others, conn)
		c.busy.Add(-1)
	}
}

// tellLocked tells those who wait for it that no connection is busy, if that is so.
func (c *freshConns) tellLocked() {
	if c.busy.Load() == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
		c.awaited.Store(false)
	}
}

// waitBusy returns when no request is being answered, or when ctx ends.
func (c *freshConns) waitBusy(ctx context.Context) {
	c.mu.Lock()
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.awaited.Store(true)
	c.tellLocked() // the last one may have ended before it could see that somebody waits
	c.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// close closes the connections that are fresh still, and those that come.
func (c *freshConns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for conn := range c.conns {
		closeNow(conn)
	}
}

// closeNow closes a connection without a goodbye, which TLS would wait for.
func closeNow(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	conn.Close()
}

// wait returns when there is no fresh connection, or after freshWait, or when ctx ends.
func (c *freshConns) wait(ctx context.Context) {
	c.mu.Lock()
	if len(c.conns) == 0 {
		c.mu.Unlock()
		return
	}
	c.none = make(chan struct{})
	none := c.none
	c.mu.Unlock()
	timer := time.NewTimer(freshWait)
	defer timer.Stop()
	select {
	case <-none:
	case <-timer.C:
	case <-ctx.Done():
	}
}
