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
// has to be told costs a timer, so it is told only of what comes earlier than what it knows, and of an end only if
// somebody reads. When its timer fires, whoever reads looks how much time there is by then.
type deadlines struct {
	mu    sync.Mutex
	want  time.Time // for reading; zero = none; guarded by mu
	told  time.Time // the runtime's; never later than want, unless stops; guarded by mu
	stops bool      // want is long ago: whoever reads is to stop; guarded by mu
	cut   bool      // the runtime was told so; guarded by mu
	after time.Time // what told was before that; guarded by mu
	exact bool      // told is want always: others read than tcpConn.Read, or set deadlines; guarded by mu
	reads int       // by tcpConn.Read, under way; guarded by mu

	writes atomic.Bool // there may be one for writing
}

// longAgo is later than what a caller means who sets a deadline to have a read stop.
var longAgo = time.Unix(1e9, 0)

// isEnd reports whether a deadline is to have reads stop.
func isEnd(t time.Time) bool { return !t.IsZero() && t.Before(longAgo) }

// setRead sets the deadline for reading from conn.
func (d *deadlines) setRead(conn *net.TCPConn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
	d.stops = isEnd(t)
	switch {
	case d.exact:
	case d.stops && d.reads == 0: // who begins to read will see
		return nil
	case d.stops:
		return d.cutLocked(conn)
	case d.cut:
		d.cut = false
		if later(t, d.after) {
			t = d.after // which costs no more than none, and spares the next ones
		}
	case later(t, d.told):
		return nil
	}
	return d.tellLocked(conn, t)
}

func (d *deadlines) tellLocked(conn *net.TCPConn, t time.Time) error {
	d.told = t
	return conn.SetReadDeadline(t)
}

// cutLocked has the runtime end reads, and refuse others.
func (d *deadlines) cutLocked(conn *net.TCPConn) error {
	if d.cut {
		return nil
	}
	d.cut, d.after = true, d.told
	return d.tellLocked(conn, d.want)
}

// begin is called before a read of conn, and end after it.
func (d *deadlines) begin(conn *net.TCPConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reads++; d.stops && !d.exact {
		d.cutLocked(conn)
	}
}

func (d *deadlines) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads--
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
	return d.tellLocked(conn, d.want) == nil
}

// beExact has the runtime know the deadlines from now on, as they are set.
func (d *deadlines) beExact(conn *net.TCPConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.exact {
		d.writes.Store(true)
		d.exact, d.cut = true, false
		d.tellLocked(conn, d.want)
	}
}

// SetReadDeadline is of net.Conn.
func (t *tcpConn) SetReadDeadline(at time.Time) error {
	err := t.limits.setRead(t.TCPConn, at)
	if isEnd(at) {
		t.of.watches.end(&t.watch)
	}
	return err
}

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
	t.of.watches.end(&t.watch)
	return errors.Join(t.limits.setRead(t.TCPConn, at), t.SetWriteDeadline(at))
}

// WriteTo is of io.WriterTo: the system moves what it can from one connection to another.
func (t *tcpConn) WriteTo(w io.Writer) (int64, error) {
	t.limits.beExact(t.TCPConn)
	return t.TCPConn.WriteTo(w)
}
