package lane

import (
	"encoding/binary"
	"net/http"
	"sync"
	"time"
)

// A handler's deadlines for the client's connection. One travels behind what the handler has written before,
// which it bounds, and which one that is taken back must not leave unbounded. But while a Write waits for a
// client that does not read, a deadline of another goroutine must act on just that Write, as it does without
// a hop. Then it goes over the trunk, where it waits for nothing. They are numbered, and none acts after a
// later one.

// limit is a deadline on its way. It travels as a duration: clocks differ.
type limit struct {
	which  byte // 'r' or 'w': of reads or writes
	at     time.Time
	number uint32
}

func (l limit) put(b []byte) []byte {
	b = append(b, l.which)
	b = putBool(b, !l.at.IsZero())
	b = putVarint(b, int64(time.Until(l.at)))
	return binary.AppendUvarint(b, uint64(l.number))
}

func readLimit(p []byte) (l limit, err error) {
	d := decoder{s: string(p)}
	l.which = d.byte()
	some, in := d.bool(), time.Duration(d.varint())
	l.number = uint32(d.uvarint())
	if some {
		l.at = time.Now().Add(in)
	}
	return l, d.end("DEADLINE")
}

// setDeadline has the dialler set a deadline for the client's connection.
func (w *Writer) setDeadline(which byte, at time.Time) error {
	w.limitMu.Lock()
	defer w.limitMu.Unlock()
	w.limits++
	l := limit{which, at, w.limits}
	if !w.mu.TryLock() { // a Write may wait for the client
		return w.x.limitNow(l)
	}
	defer w.mu.Unlock()
	if w.hijacked != nil {
		return http.ErrHijacked
	}
	return w.x.send(kDeadline, 0, l.put(newFrame(nil)))
}

// limitNow sends a deadline that waits for nothing.
func (x *exchange) limitNow(l limit) error {
	switch c := x.c.(type) {
	case *serverLane:
		return c.bd.trunk.send(frame{kind: kDeadlineNow}, l.put(putPair(c.number, x.seq)))
	case *stream:
		return c.t.send(frame{kind: kDeadlineNow}, l.put(putPair(0, c.id)))
	}
	return nil
}

// limits are the deadlines of an exchange at the dialler.
type limits struct {
	mu     sync.Mutex
	w      http.ResponseWriter // guarded by mu
	seq    uint32              // of the exchange, on a lane; guarded by mu
	over   bool                // what comes over the trunk is too late; guarded by mu
	reads  uint32              // number of the last one that was set; guarded by mu
	writes uint32              // likewise; guarded by mu
}

// begin has the deadlines that come over the trunk set for x.
func (ls *limits) begin(x *call) {
	ls.mu.Lock()
	ls.w, ls.seq = x.w, x.seq
	ls.mu.Unlock()
	switch c := x.c.(type) {
	case *lane:
		c.limits.Store(ls)
	case *stream:
		c.limits.Store(ls)
	}
}

// end has them set no more.
func (ls *limits) end(x *call) {
	ls.mu.Lock()
	ls.over = true
	ls.mu.Unlock()
	if c, ok := x.c.(*lane); ok {
		c.limits.CompareAndSwap(ls, nil)
	}
}

// set sets a deadline, unless a later one was.
func (ls *limits) set(l limit) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.setLocked(l)
}

// setNow is set for one that came over the trunk, for the exchange of that number.
func (ls *limits) setNow(l limit, seq uint32) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !ls.over && (ls.seq == 0 || ls.seq == seq) {
		ls.setLocked(l)
	}
}

// setLocked tells nobody about a server that cannot: the handler was told that the deadline is set, on both
// ways.
func (ls *limits) setLocked(l limit) {
	last, rc := &ls.writes, http.NewResponseController(ls.w)
	if l.which == 'r' {
		last = &ls.reads
	}
	switch {
	case l.number <= *last:
		return
	case l.which == 'r':
		rc.SetReadDeadline(l.at)
	default:
		rc.SetWriteDeadline(l.at)
	}
	*last = l.number
}

// limitNow takes a deadline that came over the trunk.
func (c *Client) limitNow(t *trunk, bundle uint64, p []byte) error {
	number, seq, err := parsePair(p)
	if err != nil {
		return err
	}
	l, err := readLimit(p[8:])
	if err != nil {
		return err
	}
	if ls := c.limitsOf(t, bundle, number, seq); ls != nil {
		go ls.setNow(l, seq) // a server may have to write when it is over
	}
	return nil
}

// limitsOf returns those of an exchange, nil if it is over.
func (c *Client) limitsOf(t *trunk, bundle uint64, number, seq uint32) *limits {
	if number == 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		if s := t.streams[seq]; s != nil {
			return s.limits.Load()
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, of := range c.lanes {
		if of.bundle == bundle && l.number == number {
			return l.limits.Load()
		}
	}
	return nil
}
