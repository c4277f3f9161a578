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
		case hasSent(cl.conn) || cl.heard.Load() != 0: // in this order: what has come may be read meanwhile
			left++
		default:
			cl.parted = true
			cl.end()
		}
	}
	return left
}

// end closes a connection that waits for its next request. That of a proxy is reset, if it has all answers. A proxy
// that is busy may send a request before it notices the close; it finds out when the answer does not come, and cannot
// know then whether the request was begun. By a reset it knows before it sends the request, and it takes another node
// for that, be it a POST or not (nginx: test_connect of ngx_http_upstream.c).
func (cl *client) end() {
	if cl.proxy != nil && !undelivered(cl.proxy) {
		cl.proxy.SetLinger(0)
	}
	cl.conn.Close()
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
