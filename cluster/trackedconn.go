package cluster

import (
	"net"
	"sync"
	"time"
)

// trackedConn is one of a streamLayer's connections. raft gives a request a deadline whatever its size; here that goes
// back by the time that the bytes take on the slowest line a farm works over.
type trackedConn struct {
	net.Conn
	layer *streamLayer

	mu              sync.Mutex
	readBy, writeBy time.Time // the deadlines as raft set them
	sent            int       // bytes since the last answer
	before          int       // bytes between the last two: a pipeline's next request, perhaps, that is not yet answered
}

const (
	slowestLine = 128 << 10 // bytes per second
	largeWrite  = 16 << 10  // less is no reason to put a deadline off
)

func (t *trackedConn) Close() error {
	t.layer.mu.Lock()
	delete(t.layer.open, t)
	t.layer.mu.Unlock()
	return t.Conn.Close()
}

func (t *trackedConn) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.sent += len(p)
	var err error
	if len(p) >= largeWrite {
		err = t.extendLocked()
	}
	t.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

func (t *trackedConn) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.mu.Lock()
		t.before, t.sent = t.sent, 0
		t.mu.Unlock()
	}
	return n, err
}

func (t *trackedConn) SetDeadline(at time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readBy, t.writeBy = at, at
	return t.extendLocked()
}

func (t *trackedConn) SetReadDeadline(at time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readBy = at
	return t.Conn.SetReadDeadline(t.laterLocked(at))
}

func (t *trackedConn) SetWriteDeadline(at time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writeBy = at
	return t.Conn.SetWriteDeadline(t.laterLocked(at))
}

func (t *trackedConn) extendLocked() error {
	if err := t.Conn.SetReadDeadline(t.laterLocked(t.readBy)); err != nil {
		return err
	}
	return t.Conn.SetWriteDeadline(t.laterLocked(t.writeBy))
}

// laterLocked returns a deadline with what the bytes under way add. A snapshot adds no more than some appends do: its
// deadline is by its size already.
func (t *trackedConn) laterLocked(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	bytes := min(t.sent+t.before, 3*maxAppendBytes)
	return at.Add(time.Duration(bytes) * time.Second / slowestLine)
}
