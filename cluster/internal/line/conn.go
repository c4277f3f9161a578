package line

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	piece        = 16 << 10         // what is written at once, and must get on its way in its own time
	longest      = 10 * time.Second // that nothing may move, whatever deadline raft sets
	askAgain     = time.Second      // how often it is looked whether the answer to a snapshot may still come
	snapshotKind = 2                // raft's first byte of a request that sends a snapshot
)

// Conn is a connection that raft sends requests over. raft gives each a deadline, whatever its size: here
// that is how long nothing may move, and what is under way gets the time that the line needs for it. A Conn
// is used by one reader and one writer at a time, as raft does.
type Conn struct {
	net.Conn
	line *Line // nil: nothing is known

	mu              sync.Mutex
	readFor         time.Duration // as raft set it; 0 = no deadline
	writeFor        time.Duration
	readBy, writeBy time.Time // before what bytes under way add
	sent            int       // bytes since the last answer
	// bytes between the last two: a pipeline's next request, perhaps, that is not yet answered
	before   int
	snapshot bool // a snapshot is sent over it, and nothing else after that
}

// NewConn returns c with deadlines by progress. l is the line to its other end; nil if nothing is known of
// that.
func NewConn(c net.Conn, l *Line) *Conn { return &Conn{Conn: c, line: l} }

// Write writes p piece by piece, so that each has its own time.
func (c *Conn) Write(p []byte) (n int, err error) {
	for first := true; err == nil && (first || n < len(p)); first = false {
		next := p[n:min(n+piece, len(p))]
		if err = c.sending(next, len(p) >= piece); err != nil {
			break
		}
		var m int
		m, err = c.Conn.Write(next)
		n += m
		if err == nil && len(p) >= piece {
			err = c.moved()
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.stoodStill()
	}
	return n, err
}

func (c *Conn) sending(p []byte, large bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent == 0 && len(p) > 0 && p[0] == snapshotKind && c.line != nil {
		c.snapshot = true
	}
	c.sent += len(p)
	if !large || c.writeFor == 0 {
		return nil
	}
	c.writeBy = time.Now().Add(c.writeFor)
	return c.Conn.SetWriteDeadline(c.writeBy.Add(c.line.Allow(len(p))))
}

// moved puts off the deadline of the answer, because the line has taken a piece.
func (c *Conn) moved() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.readFor == 0 {
		return nil
	}
	c.readBy = time.Now().Add(c.readFor)
	return c.setReadLocked()
}

func (c *Conn) setReadLocked() error {
	return c.Conn.SetReadDeadline(c.readBy.Add(c.line.Allow(c.underWayLocked())))
}

// underWayLocked returns how many bytes may still be on the line. Of a snapshot it is what buffers hold at
// the most.
func (c *Conn) underWayLocked() int { return min(c.sent+c.before, 3*MostAppend) }

// Read reads. When the other end has a snapshot to restore, and may still be at that, the deadline is put
// off.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.mu.Lock()
			c.before, c.sent = c.sent, 0
			c.mu.Unlock()
		}
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if !c.waits() {
			c.stoodStill()
			return n, err
		}
		if err := c.Conn.SetReadDeadline(time.Now().Add(askAgain)); err != nil {
			return n, err
		}
	}
}

func (c *Conn) waits() bool {
	c.mu.Lock()
	snapshot := c.snapshot
	c.mu.Unlock()
	return snapshot && c.line.mayWait()
}

func (c *Conn) stoodStill() {
	c.mu.Lock()
	bytes := c.underWayLocked()
	c.mu.Unlock()
	if c.line != nil {
		c.line.Failed(bytes)
	}
}

func (c *Conn) SetDeadline(at time.Time) error {
	return errors.Join(c.SetReadDeadline(at), c.SetWriteDeadline(at))
}

func (c *Conn) SetReadDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.readFor, c.readBy = patience(at); at.IsZero() {
		return c.Conn.SetReadDeadline(at)
	}
	return c.setReadLocked()
}

func (c *Conn) SetWriteDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writeFor, c.writeBy = patience(at); at.IsZero() {
		return c.Conn.SetWriteDeadline(at)
	}
	return c.Conn.SetWriteDeadline(c.writeBy.Add(c.line.Allow(min(piece, c.underWayLocked()))))
}

// patience returns for how long nothing may move, and until when that is.
func patience(at time.Time) (time.Duration, time.Time) {
	if at.IsZero() {
		return 0, at
	}
	now := time.Now()
	d := min(max(at.Sub(now), 0), longest)
	return d, now.Add(d)
}
