package lane

import (
	"context"
	"net"
	"sync"
	"time"
)

// serverLane is a lane at the acceptor. One goroutine at a time reads requests from it and runs their
// handlers. If a request is given up while its handler runs, another goroutine takes the lane over, and the
// first one ends with the handler: so what is given up costs no connection, however long the handler goes on.
type serverLane struct {
	*lane
	server *Server
	bd     *bundle
	ctx    context.Context
	done   chan struct{} // closed when the lane is at its end
	shut   chan struct{} // closed by close

	tail *[]byte // the last answer, until it is sent; of the goroutine that has the lane; nil = none
	left func()  // tailLeft

	mu     sync.Mutex
	cur    *exchange // whose handler runs in the goroutine that has the lane; nil = none; guarded by mu
	barred uint32    // requests up to this one are not started any more; guarded by mu
	leaves uint32    // number of a request of which a LEAVE has come before it; guarded by mu
	early  early     // a CANCEL that has come before its request; guarded by mu
	gone   bool      // guarded by mu
}

// early is a CANCEL that came over the trunk before its request came over the lane.
type early struct {
	seq         uint32
	contextOnly bool
}

func (s *Server) serveLane(c net.Conn, key bundleKey, number uint32, v uint8) {
	bd := s.bundle(key)
	if bd == nil {
		c.Write(welcome(0, "there is no such bundle"))
		return
	}
	l := &serverLane{lane: newLane(c, number), server: s, bd: bd, ctx: s.context(c), done: make(chan struct{}),
		shut: make(chan struct{})}
	l.left = l.tailLeft
	if !bd.add(l) {
		c.Write(welcome(0, "there is such a lane already, or there are too many"))
		return
	}
	defer bd.remove(l)
	s.cutBy(c, l.close)
	if _, err := c.Write(welcome(v, "")); err != nil {
		return
	}
	c.SetDeadline(time.Time{})
	go l.serve()
	select {
	case <-l.done:
	case <-l.shut: // a handler may go on for as long as it likes
	}
}

// serve serves one request after the other, until the lane is at its end or another goroutine has taken it
// over.
func (l *serverLane) serve() {
	for l.serveNext() {
	}
}

// serveNext reports whether this goroutine goes on with the lane.
func (l *serverLane) serveNext() bool {
	f, err := l.nextRequest()
	if err == nil {
		var known bool
		if known, err = f.known(); err == nil && (!known || f.kind != kReq) {
			return true // the rest of a body that nobody wants
		}
	}
	if err != nil {
		close(l.done)
		return false
	}
	x := &exchange{server: l.server, c: l}
	x.ctx, x.cancel = context.WithCancelCause(l.ctx)
	x.rmu.Lock() // of run: whoever takes the lane over waits until the request is read
	if !l.start(x, f.id) {
		close(l.done)
		return false
	}
	returned := false
	defer func() {
		x.ended()
		if !returned && l.finish(x, true) { // the handler has ended this goroutine
			go l.serve()
		}
	}()
	ok := x.run(f)
	returned = true
	return l.finish(x, ok)
}

// nextRequest sends the answer that is still to be sent, and waits for the next frame.
func (l *serverLane) nextRequest() (frame, error) {
	if l.tail != nil {
		if err := l.ask(kRes, fEnd, *l.tail, l.left); err != nil {
			return frame{}, err
		}
	}
	return l.next()
}

// tailLeft is called when the answer that nextRequest sends has left.
func (l *serverLane) tailLeft() {
	putBuffer(l.tail)
	l.tail = nil
	if l.server.Ended != nil {
		l.server.Ended()
	}
}

// start notes that a request has come. It reports false if it must not be started: it counts as lost.
func (l *serverLane) start(x *exchange, seq uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone || seq <= l.barred {
		return false
	}
	l.seq.Store(seq)
	l.cur = x
	l.bd.running.Add(1)
	if l.leaves == seq {
		x.leave.give()
	}
	if l.early.seq == seq {
		x.cancel(context.Canceled)
		x.unwanted = !l.early.contextOnly
	}
	return true
}

// finish is called when the handler of x has returned. It reports whether this goroutine still has the lane.
func (l *serverLane) finish(x *exchange, ok bool) bool {
	x.cancel(errFinished)
	l.bd.running.Add(-1)
	l.mu.Lock()
	mine := l.cur == x
	if mine {
		l.cur = nil
	}
	l.mu.Unlock()
	if mine && !ok {
		close(l.done)
		return false
	}
	return mine
}

// takeOver goes on with the lane in the place of the goroutine that runs the handler of x, which was given
// up. Nobody reads from the lane or writes to it any more on behalf of x.
func (l *serverLane) takeOver(x *exchange) {
	l.mu.Lock()
	mine := l.cur == x
	if mine {
		l.cur = nil
	}
	l.mu.Unlock()
	if mine {
		l.serve()
	}
}

// cancel gives up the request of that number, if its handler runs; or ends its context and no more.
func (l *serverLane) cancel(seq uint32, contextOnly bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.cur
	switch now := l.seq.Load(); {
	case seq > now:
		if l.early.seq != seq || !contextOnly {
			l.early = early{seq, contextOnly}
		}
	case x == nil || now != seq:
	case contextOnly:
		x.cancel(context.Canceled)
	default:
		go func() {
			x.giveUp(errCanceled)
			l.takeOver(x)
		}()
	}
}

// saw reports whether the request of that number was seen. If not, it will not be started either.
func (l *serverLane) saw(seq uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seq.Load() >= seq {
		return true
	}
	l.barred = seq
	return false
}

func (l *serverLane) close() {
	l.mu.Lock()
	if !l.gone {
		close(l.shut)
	}
	l.gone = true
	x := l.cur
	l.mu.Unlock()
	l.Conn.Close()
	if x != nil {
		x.cancel(errLost)
	}
}
