package lane

import "sync"

// A dialler that drains has the handlers of exchanges that last come to an end, one after the other. It knows
// which ones last by what the client asks for and the handler answers, or because the handler says so.

// Lasts says that the handler goes on until somebody ends it, and has f called, on a goroutine of its own, when
// the dialler wants it to come to an end. known says that the dialler need not be told.
func (w *Writer) Lasts(known bool, f func()) {
	w.x.leave.wait(f)
	if !known {
		w.x.send(kLasts, 0, newFrame(nil)) // an error is met again by what the handler does next
	}
}

// Leave tells the peer that its handler is to come to an end. It may be called from any goroutine, at any
// time; a later attempt tells the next peer.
func (a *Attempt) Leave() {
	l := &a.leaving
	l.mu.Lock()
	l.told = true
	x := l.at
	l.mu.Unlock()
	if x != nil {
		x.tellLeave()
	}
}

// leaving is what Leave has to know.
type leaving struct {
	mu   sync.Mutex
	told bool  // guarded by mu
	at   *call // the attempt now, or the last one; guarded by mu
}

func (l *leaving) attempt(x *call) {
	x.number = x.Facts.Attempt
	if x.lane != nil {
		x.seq = x.lane.seq.Load()
	}
	x.limits.begin(x)
	l.mu.Lock()
	l.at = x
	told := l.told
	l.mu.Unlock()
	if told {
		x.tellLeave()
	}
}

// tellLeave sends a LEAVE. One for an exchange that is over is for nobody.
func (x *call) tellLeave() {
	switch c := x.c.(type) {
	case *lane:
		if t := x.client.trunkOf(c); t != nil {
			t.send(frame{kind: kLeave}, putPair(c.number, x.seq))
		}
	case *stream:
		c.t.sendLeave(c)
	}
}

// trunkOf returns the trunk of a lane, nil if it is lost.
func (c *Client) trunkOf(l *lane) *trunk {
	c.mu.Lock()
	defer c.mu.Unlock()
	if of, ok := c.lanes[l]; !ok || of.bundle != c.bundle {
		return nil
	}
	return c.trunk
}

func (t *trunk) sendLeave(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.id == 0 {
		s.leaves = true
		return
	}
	t.sendLocked(frame{kind: kLeave}, putPair(0, s.id))
}

// notice is something that is given once, and waited for by one function at most.
type notice struct {
	mu    sync.Mutex
	given bool   // guarded by mu
	f     func() // guarded by mu
}

func (n *notice) give() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.given && n.f != nil {
		go n.f()
	}
	n.given = true
}

// wait has f called when the notice is given, which may be the case already.
func (n *notice) wait(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.f = f; n.given {
		go f()
	}
}

// leave takes a LEAVE for a stream.
func (t *trunk) leave(id uint32) {
	t.mu.Lock()
	s := t.streams[id]
	t.mu.Unlock()
	if s != nil {
		s.leave.give()
	}
}

// leave takes a LEAVE for the request of that number, which may be yet to come.
func (l *serverLane) leave(seq uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch now := l.seq.Load(); {
	case seq > now:
		l.leaves = seq
	case seq == now && l.cur != nil:
		l.cur.leave.give()
	}
}
