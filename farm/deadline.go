package farm

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// deadlines are those of a tcpConn. net/http sets the one for reading six times in a request. Each time the runtime
// has to be told costs a timer, so it is told only of what comes earlier than what it knows. When its timer fires,
// whoever reads looks how much time there is by then.
type deadlines struct {
	mu    sync.Mutex
	want  time.Time // for reading; zero = none; guarded by mu
	told  time.Time // the runtime's; never later than want; guarded by mu
	stops bool      // told is long ago: whoever reads is to stop; guarded by mu
	after time.Time // what told was before that; guarded by mu
	exact bool      // told is want always: others read than tcpConn.Read, or set deadlines; guarded by mu

	writes atomic.Bool // there may be one for writing
}

// longAgo is later than what a caller means who sets a deadline to have a read stop.
var longAgo = time.Unix(1e9, 0)

// setRead sets the deadline for reading from conn.
func (d *deadlines) setRead(conn *net.TCPConn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
	if !d.exact && !d.stops && later(t, d.told) {
		return nil
	}
	stops := !t.IsZero() && t.Before(longAgo)
	switch {
	case stops && !d.stops:
		d.after = d.told
	case d.stops && !stops && !d.exact && later(t, d.after):
		t = d.after // which costs no more than none, and spares the next ones
	}
	d.told, d.stops = t, stops
	return conn.SetReadDeadline(t)
}

// later reports whether a deadline is not before another one; zero = none.
func later(a, b time.Time) bool { return a.IsZero() || !b.IsZero() && !a.Before(b) }

// early reports whether err says that it is too late to read from conn although it is not; it is not for the runtime
// either then.
func (d *deadlines) early(conn *net.TCPConn, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stops || d.exact || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if !d.want.IsZero() && !time.Now().Before(d.want) {
		return false
	}
	d.told = d.want
	return conn.SetReadDeadline(d.want) == nil
}

// beExact has the runtime know the deadlines from now on, as they are set.
func (d *deadlines) beExact(conn *net.TCPConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.exact {
		d.writes.Store(true)
		d.exact, d.told, d.stops = true, d.want, false
		conn.SetReadDeadline(d.want)
	}
}

// SetReadDeadline is of net.Conn.
func (t *tcpConn) SetReadDeadline(at time.Time) error { return t.limits.setRead(t.TCPConn, at) }

// SetWriteDeadline is of net.Conn.
func (t *tcpConn) SetWriteDeadline(at time.Time) error {
	if at.IsZero() && !t.limits.writes.Load() {
		return nil // as after each request
	}
	t.limits.writes.Store(true)
	return t.TCPConn.SetWriteDeadline(at)
}

// SetDeadline is of net.Conn. net/http calls it for who takes the connection over, and may do with it what it likes.
func (t *tcpConn) SetDeadline(at time.Time) error {
	t.limits.beExact(t.TCPConn)
	return errors.Join(t.limits.setRead(t.TCPConn, at), t.SetWriteDeadline(at))
}

// WriteTo is of io.WriterTo: the system moves what it can from one connection to another.
func (t *tcpConn) WriteTo(w io.Writer) (int64, error) {
	t.limits.beExact(t.TCPConn)
	return t.TCPConn.WriteTo(w)
}
