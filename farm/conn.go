package farm

import (
	"container/list"
	"crypto/tls"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/internal/proxyproto"
)

// client is one connection.
type client struct {
	conn  net.Conn      // to be closed
	since time.Time     // when it was accepted
	host  string        // see hostOf
	proxy *net.TCPConn  // conn, if it is a trusted proxy's; else nil
	place *list.Element // in fresh or idle; nil within a request, or while idle is not kept; guarded by mu
	in    *list.List    // which of them; guarded by mu
	gone  bool          // not counted any more; guarded by mu

	spoke    bool // it was active; guarded by mu
	http2    bool // guarded by mu
	parted   bool // closed by part; guarded by mu
	prefaced bool // HTTP/2: the next time that it is idle is before its first request; guarded by mu

	all   *list.Element // in clients.all; guarded by mu
	plain atomic.Bool   // it spoke, and not HTTP/2
	waits atomic.Bool   // for its first request, or for the next one
	rank  atomic.Uint64 // among those that wait for the next one: who has waited for longest has the least
	heard atomic.Int64  // when something was read while it waited, see moment; 0 = nothing was
	chats atomic.Int64  // since when it goes on like that
}

// listen takes note of something that was read while the connection waited.
func (cl *client) listen() {
	now := moment()
	if now-cl.heard.Swap(now) >= int64(hearTime) {
		cl.chats.Store(now)
	}
}

// heardLately reports whether the next request may be on its way at a moment. What comes in for longer than one would
// is none: HTTP/2 has frames that keep a connection busy without.
func (cl *client) heardLately(now int64) bool {
	return now-cl.heard.Load() < int64(hearTime) && now-cl.chats.Load() < int64(chatTime)
}

// hostOf returns the address that a client's connections count by: of IPv6 the network of 64 bits, since one
// client has all of it.
func hostOf(conn net.Conn) string {
	a, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	ip := a.Addr().Unmap()
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// tcpConn is a connection that says when it is closed: a hijacked one counts until then.
type tcpConn struct {
	*net.TCPConn
	told   *proxyproto.Conn // what its proxy says of it; nil without the PROXY protocol
	client *client
	of     *clients
	turn   turn
	limits deadlines
	watch  endWatch
	out    meter
}

// Write writes b. A client that does not take it is cut off: see pace.
func (t *tcpConn) Write(b []byte) (n int, err error) {
	if t.out.stall <= 0 {
		return t.TCPConn.Write(b)
	}
	for first := true; first || len(b) > 0 && err == nil; first = false {
		var some int
		t.out.begin()
		some, err = t.TCPConn.Write(b[:min(len(b), mostAtOnce)])
		t.out.end(some)
		n, b = n+some, b[some:]
	}
	return n, err
}

// ReadFrom sends a file without copying it. From anything else it only copies: the client is not to pay for a source that is slow.
func (t *tcpConn) ReadFrom(r io.Reader) (n int64, err error) {
	if t.out.stall <= 0 {
		return t.TCPConn.ReadFrom(r)
	}
	limit, ok := r.(*io.LimitedReader)
	if !ok {
		limit = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	if !isFile(limit.R) {
		return io.Copy(struct{ io.Writer }{t}, r)
	}
	for some, want := int64(0), int64(0); err == nil && some == want && limit.N > 0; {
		want = min(limit.N, mostAtOnce)
		t.out.begin()
		some, err = t.TCPConn.ReadFrom(&io.LimitedReader{R: limit.R, N: want})
		t.out.end(int(some))
		n, limit.N = n+some, limit.N-some
	}
	return n, err
}

func isFile(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// cutOff ends the connection of a client that takes nothing, and what the system keeps for it.
func (t *tcpConn) cutOff() {
	t.of.slow.note()
	t.TCPConn.SetLinger(0)
	t.close()
}

func (t *tcpConn) Read(b []byte) (int, error) {
	if len(b) == 1 && t.client.plain.Load() && !t.client.waits.Load() && t.awaitEnd() {
		return 0, os.ErrDeadlineExceeded
	}
	t.limits.begin(t.TCPConn)
	defer t.limits.end()
	n, err := t.TCPConn.Read(b)
	for err != nil && n == 0 && t.limits.early(t.TCPConn, err) {
		n, err = t.TCPConn.Read(b)
	}
	if n > 0 && t.client.waits.Load() {
		t.client.listen()
	}
	if t.told != nil && n > 0 {
		if err := t.told.Check(b[:n]); err != nil {
			t.Close()
			return 0, err
		}
	}
	return n, err
}

// awaitEnd waits in the place of a read by which net/http watches a client, see endWatch. It reports whether the read
// is to stop.
func (t *tcpConn) awaitEnd() (stop bool) {
	d := &t.limits
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.exact && !d.stops && t.of.watches.begin(&t.watch) {
		d.mu.Unlock()
		<-t.watch.over
		d.mu.Lock()
	}
	return d.stops && !d.exact
}

func (t *tcpConn) Close() error {
	t.out.stop()
	return t.close()
}

func (t *tcpConn) close() error {
	t.of.mu.Lock()
	t.of.goneLocked(t.client)
	t.of.mu.Unlock()
	err := t.TCPConn.Close()
	t.of.watches.end(&t.watch)
	return err
}

// RemoteAddr returns the client's address, as far as it is known.
func (t *tcpConn) RemoteAddr() net.Addr {
	if t.told != nil {
		return t.told.RemoteAddr()
	}
	return t.TCPConn.RemoteAddr()
}

// LocalAddr returns the address to which the client connected, as far as it is known.
func (t *tcpConn) LocalAddr() net.Addr {
	if t.told != nil {
		return t.told.LocalAddr()
	}
	return t.TCPConn.LocalAddr()
}

// beneath returns the connection that TLS uses, of a connection with TLS.
func beneath(conn net.Conn) net.Conn {
	if secure, ok := conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return conn
}

// isHTTP2 reports whether a connection speaks HTTP/2, by TLS.
func isHTTP2(conn net.Conn) bool {
	secure, ok := conn.(*tls.Conn)
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// toldOf returns what a proxy says of a connection; nil without the PROXY protocol.
func toldOf(conn net.Conn) *proxyproto.Conn {
	switch c := beneath(conn).(type) {
	case *tcpConn:
		return c.told
	case *proxyproto.Conn:
		return c
	}
	return nil
}

// plain returns a connection as the system gave it, for the application's own functions. They may set deadlines.
func plain(conn net.Conn) net.Conn {
	switch c := conn.(type) {
	case *tcpConn:
		c.limits.beExact(c.TCPConn)
		return c.TCPConn
	case *proxyproto.Conn:
		return c.Conn
	}
	return conn
}
