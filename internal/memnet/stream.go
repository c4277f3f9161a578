package memnet

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how many bytes one direction of a stream holds before its writer has to wait.
const bufferSize = 256 << 10

// link is a stream: two directions and two ends.
type link struct {
	network *Network
	halves  [2]*half // from ends[0] to ends[1], and back
	ends    [2]*conn
	open    int // ends not closed yet; guarded by network.mu
}

func (n *Network) newLinkLocked(client, server addrPort) *link {
	l := &link{network: n, open: 2}
	l.halves = [2]*half{newHalf(client.ip, server.ip), newHalf(server.ip, client.ip)}
	l.ends[0] = &conn{link: l, in: l.halves[1], out: l.halves[0], local: client, remote: server}
	l.ends[1] = &conn{link: l, in: l.halves[0], out: l.halves[1], local: server, remote: client}
	n.links[l] = struct{}{}
	n.refreshLocked(l)
	return l
}

// reset breaks the stream off because the host dead does not know it any more.
func (l *link) reset(dead string) {
	for _, h := range l.halves {
		h.mu.Lock()
		h.fromDead = h.fromDead || h.from == dead
		h.toDead = h.toDead || h.to == dead
		h.cond.Broadcast()
		h.mu.Unlock()
	}
}

// lose has what is written from now on vanish.
func (l *link) lose() {
	for _, h := range l.halves {
		h.mu.Lock()
		h.lost = true
		h.cond.Broadcast()
		h.mu.Unlock()
	}
}

// segment is what one Write left.
type segment struct {
	data []byte
	due  time.Time // when it arrives; zero = at once
}

// half is one direction of a stream.
type half struct {
	from, to string // hosts

	mu       sync.Mutex
	cond     *sync.Cond // anything below changed
	segments []segment
	size     int           // bytes in segments
	delay    time.Duration // of what is written from now on
	rate     int           // bytes per second of what is written from now on; 0 = no limit
	stall    stall         // of what is written from now on
	free     time.Time     // when all that was written at a rate has left
	held     bool          // nothing gets from from to to
	backHeld bool          // nothing gets from to to from: the writer does not learn what the reader did
	ended    bool          // the writer closed its end
	endDue   time.Time     // when the reader learns that
	gone     bool          // the reader closed its end
	fromDead bool          // the writer's host does not know the stream any more
	toDead   bool          // the reader's host does not know the stream any more
	lost     bool          // what is written from now on goes nowhere, and neither end hears of the other
	writing  bool          // a Write is under way: those of others wait
	readBy   deadline
	writeBy  deadline
}

func newHalf(from, to string) *half {
	h := &half{from: from, to: to}
	h.cond = sync.NewCond(&h.mu)
	h.readBy.half, h.writeBy.half = h, h
	return h
}

func (h *half) setPath(held, backHeld bool, delay time.Duration, rate int, stall stall) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held, h.backHeld, h.delay, h.rate, h.stall = held, backHeld, delay, rate, stall
	h.cond.Broadcast()
}

func (h *half) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cond.Broadcast()
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.gone:
			return 0, errClosed
		case h.readBy.passed:
			return 0, errTimeout
		case h.toDead || h.fromDead && !h.held && !h.lost:
			return 0, syscall.ECONNRESET
		case len(p) == 0:
			return 0, nil
		}
		if n := h.takeLocked(p); n > 0 {
			return n, nil
		}
		if h.ended && !h.lost && len(h.segments) == 0 && h.arrivedLocked(h.endDue) {
			return 0, io.EOF
		}
		h.cond.Wait()
	}
}

func (h *half) arrivedLocked(due time.Time) bool {
	return !h.held && (due.IsZero() || !time.Now().Before(due))
}

// takeLocked moves what has arrived into p.
func (h *half) takeLocked(p []byte) (n int) {
	for n < len(p) && len(h.segments) > 0 && h.arrivedLocked(h.segments[0].due) {
		s := &h.segments[0]
		moved := copy(p[n:], s.data)
		n += moved
		if s.data = s.data[moved:]; len(s.data) == 0 {
			s.data = nil
			h.segments = h.segments[1:]
		}
	}
	if n > 0 {
		h.size -= n
		h.cond.Broadcast()
	}
	return n
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.writing && h.writeErrorLocked() == nil {
		h.cond.Wait()
	}
	if err := h.writeErrorLocked(); err != nil {
		return 0, err
	}
	h.writing = true
	defer func() {
		h.writing = false
		h.cond.Broadcast()
	}()
	for n < len(p) {
		room := min(bufferSize-h.size, len(p)-n)
		if room > 0 {
			h.putLocked(p[n : n+room])
			n += room
			continue
		}
		h.cond.Wait()
		if err := h.writeErrorLocked(); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (h *half) writeErrorLocked() error {
	switch {
	case h.ended:
		return errClosed
	case h.writeBy.passed:
		return errTimeout
	case h.fromDead || h.toDead && !h.backHeld && !h.lost:
		return syscall.ECONNRESET
	case h.gone && !h.backHeld && !h.lost:
		return syscall.EPIPE
	}
	return nil
}

func (h *half) putLocked(p []byte) {
	if h.lost {
		return
	}
	h.segments = append(h.segments, segment{append([]byte(nil), p...), h.dueLocked(len(p))})
	h.size += len(p)
	h.cond.Broadcast()
}

// dueLocked returns when size bytes that are sent now have arrived: never before what was sent earlier.
func (h *half) dueLocked(size int) time.Time {
	var due time.Time
	if wait := h.leaveLocked(size) + h.delay + h.stall.pick(); wait > 0 {
		due = time.Now().Add(wait)
		time.AfterFunc(wait, h.wake)
	}
	if last := len(h.segments) - 1; last >= 0 && h.segments[last].due.After(due) {
		due = h.segments[last].due
	}
	return due
}

// pick returns for how long what is written now stands still.
func (s stall) pick() time.Duration {
	if s.p == 0 || s.most <= 0 || rand.Float64() >= s.p {
		return 0
	}
	return rand.N(s.most)
}

// leaveLocked returns how long it takes until size more bytes have left.
func (h *half) leaveLocked(size int) time.Duration {
	if h.rate == 0 {
		return 0
	}
	now := time.Now()
	if h.free.Before(now) {
		h.free = now
	}
	h.free = h.free.Add(time.Duration(size) * time.Second / time.Duration(h.rate))
	return h.free.Sub(now)
}

// end closes the writer's end; what was written still arrives.
func (h *half) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endDue = h.dueLocked(0)
	h.ended = true
	h.writeBy.stopLocked()
	h.cond.Broadcast()
}

// leave closes the reader's end.
func (h *half) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = true
	h.segments, h.size = nil, 0
	h.readBy.stopLocked()
	h.cond.Broadcast()
}

// deadline ends the reads or the writes of a half. Guarded by half.mu.
type deadline struct {
	half   *half
	timer  *time.Timer
	turn   int // counts sets: a timer of an earlier one says nothing
	passed bool
}

func (d *deadline) setLocked(t time.Time) {
	d.stopLocked()
	d.passed = false
	if !t.IsZero() {
		if wait := time.Until(t); wait > 0 {
			turn := d.turn
			d.timer = time.AfterFunc(wait, func() { d.pass(turn) })
		} else {
			d.passed = true
		}
	}
	d.half.cond.Broadcast()
}

func (d *deadline) stopLocked() {
	d.turn++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *deadline) pass(turn int) {
	d.half.mu.Lock()
	defer d.half.mu.Unlock()
	if d.turn == turn {
		d.passed = true
		d.half.cond.Broadcast()
	}
}

// conn is one end of a stream.
type conn struct {
	link          *link
	in, out       *half
	local, remote addrPort
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// Close closes this end. The other one reads what was written before, and then the end of the stream.
func (c *conn) Close() error {
	n := c.link.network
	n.mu.Lock()
	defer n.mu.Unlock()
	return c.closeLocked()
}

func (c *conn) closeLocked() error {
	c.in.mu.Lock()
	closed := c.in.gone
	c.in.mu.Unlock()
	if closed {
		return c.opError("close", errClosed)
	}
	c.out.end()
	c.in.leave()
	if c.link.open--; c.link.open == 0 {
		delete(c.link.network.links, c.link)
	}
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local.tcp() }
func (c *conn) RemoteAddr() net.Addr { return c.remote.tcp() }

func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.in.gone {
		return c.opError("set", errClosed)
	}
	c.in.readBy.setLocked(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.ended {
		return c.opError("set", errClosed)
	}
	c.out.writeBy.setLocked(t)
	return nil
}

func (c *conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
