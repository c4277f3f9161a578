package farm

import (
	"context"
	"net"
	"syscall"
	"time"
)

// part closes the connections that wait for their next request, but for those on which one is on its way:
// their answers end them, since this node drains. http.Server.Shutdown closes a connection until a request
// was read from it, and the client has lost one that the system has. HTTP/2 is left to Shutdown: it says
// goodbye there.
func (c *clients) part(ctx context.Context) {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for c.partNow() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// partNow returns how many connections are left.
func (c *clients) partNow() (left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.all.Front(); e != nil; e = e.Next() {
		switch cl := e.Value.(*client); {
		case !cl.waits.Load() || cl.in == &c.fresh || cl.http2 || cl.parted:
		case cl.heard.Load() != 0 || hasSent(cl.conn):
			left++
		default:
			cl.parted = true
			cl.conn.Close()
		}
	}
	return left
}

// hasSent reports whether something has come that nobody has read yet.
func hasSent(conn net.Conn) (sent bool) {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) { sent = unread(fd) })
	return sent
}
