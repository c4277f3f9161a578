package lane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
)

// exchange is one request at the acceptor, with its handler.
type exchange struct {
	server   *Server
	c        carrier
	seq      uint32 // of its frames
	ctx      context.Context
	cancel   context.CancelCauseFunc
	facts    Facts
	came     http.Request
	url      url.URL            // of came
	unwanted bool               // it was given up before it came
	whole    bool               // it came with its body
	runs     bool               // Handle was called, and Server.Ended was not
	req      *http.Request      // came, or a copy with a deadline
	unlimit  context.CancelFunc // ends the limit of the request's time; nil = there is none

	wmu   turn // held while something is sent for the handler
	over  bool // nothing more is sent: the last frame was, or it was given up; guarded by wmu
	gone  bool // it was given up; guarded by wmu
	rmu   turn // held while something is read for the handler
	stale bool // nothing more is read for it; guarded by rmu

	w    Writer
	body body

	leave notice // that the handler is to come to an end
}

// run answers the request whose REQ frame was read last. It is called with rmu held. It reports false if the
// connection is at its end.
func (x *exchange) run(f frame) bool {
	x.seq = f.id
	p, err := x.c.payload()
	if err == nil {
		err = x.decode(p, f.flags&fEnd != 0)
	}
	x.rmu.Unlock()
	if x.unlimit != nil {
		defer x.unlimit()
	}
	switch {
	case errors.Is(err, errProtocol):
		x.server.logger().Warn("a peer's request could not be read", "err", err)
		return x.reset(resetBody, 0) == nil
	case err != nil:
		return false
	case x.unwanted:
		return x.reset(resetCanceled, 0) == nil
	}
	x.w.init(x)
	returned := false
	defer func() {
		if !returned { // by runtime.Goexit, which net/http takes for an abort
			x.cancel(context.Canceled)
			x.reset(resetAborted, fStarted)
		}
	}()
	panicked := x.call()
	returned = true
	x.cancel(context.Canceled)
	ok := x.end(panicked)
	x.rmu.Lock() // the dialler ends a body that is still on its way
	x.stale = true
	x.rmu.Unlock()
	return ok
}

// end sends how the exchange ended.
func (x *exchange) end(panicked any) bool {
	switch {
	case x.w.tunnel() != nil:
		x.ended()
		<-x.w.tunnel().closed // net/http lets a handler return before it has done with such a connection
		return false
	case panicked == nil:
		return x.w.finish()
	case panicked == http.ErrAbortHandler:
		return x.reset(resetAborted, fStarted) == nil
	}
	return x.reset(resetPanic, fStarted) == nil
}

// decode takes the request from its frame. In front of the head is its length, behind it what there is of the
// body.
func (x *exchange) decode(p []byte, whole bool) error {
	head, body, ok := splitHead(p)
	if !ok {
		return malformed("REQ")
	}
	d := decoder{s: head}
	d.request(x.ctx, &x.came, &x.url, &x.facts)
	x.req = &x.came
	if x.whole = whole; whole {
		x.body.err = d.bodyError()
	}
	left, limited := d.expiry()
	if err := d.end("REQ"); err != nil {
		return err
	}
	if limited {
		x.expire(left)
	}
	x.body.init(x, body, whole)
	if x.req.Body = &x.body; whole && x.body.empty() {
		x.req.Body = http.NoBody
	}
	return nil
}

// call runs the handler, and returns what it panicked with.
func (x *exchange) call() (panicked any) {
	defer func() {
		if panicked = recover(); panicked == nil || panicked == http.ErrAbortHandler {
			return
		}
		stack := make([]byte, 64<<10)
		stack = stack[:runtime.Stack(stack, false)]
		x.server.logger().Error("handler panicked", "request", x.facts.ID, "method", x.req.Method,
			"path", x.req.URL.Path, "from", x.facts.Via, "panic", fmt.Sprint(panicked), "stack", string(stack))
	}()
	x.runs = true
	x.server.Handle(&x.w, x.req, &x.facts)
	if form := x.req.MultipartForm; form != nil {
		form.RemoveAll()
	}
	return nil
}

// ended says that nothing more is sent for the handler, which has returned.
func (x *exchange) ended() {
	if runs := x.runs; runs && x.server.Ended != nil {
		x.runs = false
		x.server.Ended()
	}
}

// giveUp ends the exchange from outside: its context, and whatever the handler waits for.
func (x *exchange) giveUp(why error) {
	x.cancel(why)
	x.wmu.Lock() // one that is sending goes on: the dialler reads until the end
	x.gone = true
	x.resetLocked(resetCanceled, fStarted)
	x.wmu.Unlock()
	x.rmu.Lock() // one that is reading comes to the end of the body: the dialler says so
	x.stale = true
	x.rmu.Unlock()
}

// reset ends the exchange with a RESET instead of the rest of an answer.
func (x *exchange) reset(code byte, flags uint8) error {
	x.wmu.Lock()
	defer x.wmu.Unlock()
	return x.resetLocked(code, flags)
}

func (x *exchange) resetLocked(code byte, flags uint8) error {
	if x.over {
		return nil
	}
	x.over = true
	b := append(newFrame(nil), code)
	b = x.server.load().put(b)
	return x.c.send(kReset, flags, b)
}

// send sends a frame for the handler.
func (x *exchange) send(k kind, flags uint8, b []byte) error {
	x.wmu.Lock()
	defer x.wmu.Unlock()
	return x.sendLocked(k, flags, b)
}

func (x *exchange) sendLocked(k kind, flags uint8, b []byte) error {
	switch {
	case x.gone:
		return errCanceled
	case x.over:
		return errFinished
	}
	return x.c.send(k, flags, b)
}

// last sends the frame with which the exchange ends.
func (x *exchange) last(k kind, flags uint8, b []byte) error {
	x.wmu.Lock()
	defer x.wmu.Unlock()
	if x.over {
		return nil // it was given up
	}
	x.over = true
	return x.c.send(k, flags, b)
}

// answer sends an answer that is one frame, and gives its buffer back. A lane does so when it asks for the next
// request; unless the dialler may send more of this one, which somebody may wait for.
func (x *exchange) answer(b *[]byte) error {
	x.wmu.Lock()
	defer x.wmu.Unlock()
	over := x.over
	x.over = true
	if l, ok := x.c.(*serverLane); ok && x.whole && !over {
		l.tail, x.runs = b, false // nextRequest sends it, and says so
		return nil
	}
	defer putBuffer(b)
	if over {
		return nil // it was given up
	}
	return x.c.send(kRes, fEnd, *b)
}

// cut ends the connection of an exchange that does not keep to the protocol.
func (x *exchange) cut(err error) {
	x.server.logger().Warn("a peer's connection was cut",
		"request", x.facts.ID, "from", x.facts.Via, "err", err)
	switch c := x.c.(type) {
	case *serverLane:
		c.Conn.Close()
	case *stream:
		c.t.close(err)
	}
}
