package lane

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

// Attempt is what a Client needs to send a client's request to its peer.
type Attempt struct {
	Facts  *Facts
	Upload *Upload

	// BeforeHeader is called before the final header of the answer is written to the client; the
	// ResponseWriter has it already. The answer may come before the end of the body. duplex says that the
	// handler has asked for both at once. nil = nothing.
	BeforeHeader func(status int, duplex bool)

	// Interim reports whether a 1xx answer is for the client. nil = always.
	Interim func(status int, header http.Header) bool

	// Laster is told when the handler has said that it goes on until somebody ends it: see Writer.Lasts. nil =
	// nobody.
	Laster Laster

	leaving leaving
}

// Laster is told that an exchange lasts.
type Laster interface{ Lasts() }

// call is an Attempt at the dialler.
type call struct {
	*Attempt
	client *Client
	c      carrier
	lane   *lane  // nil on a stream
	seq    uint32 // of its frames on a lane
	number uint8  // of the attempt
	w      http.ResponseWriter
	r      *http.Request
	rc     *http.ResponseController
	out    Outcome
	body   sender
	duplex bool
	last   bool // the acceptor's last frame has come
	limits limits

	mu          sync.Mutex
	ended       bool        // guarded by mu
	interrupted bool        // guarded by mu
	settled     bool        // see settle; guarded by mu
	begun       bool        // the answer has; guarded by mu
	why         error       // of GiveUp; nil = it was not given up so; guarded by mu
	looked      bool        // see look; guarded by mu
	unwatch     func() bool // ends the watch over the context; nil = there is none; guarded by mu
}

// Do sends the request to the peer, and writes what it answers to w. The context is that of r.
func (c *Client) Do(w http.ResponseWriter, r *http.Request, a *Attempt) (out Outcome) {
	c.running.Add(1)
	defer c.running.Add(-1)
	x := &call{Attempt: a, client: c, w: w, r: r}
	if err := x.begin(); err != nil {
		return Outcome{Err: err, GaveUp: r.Context().Err() != nil}
	}
	x.body = sender{c: x.c, u: a.Upload, x: x}
	a.leaving.attempt(x)
	x.watch()
	defer func() { // also if w panics
		x.finish()
		out = x.out
	}()
	x.out.Err = errUnfinished
	x.exchange()
	return x.out
}

// begin chooses what the exchange goes over.
func (x *call) begin() error {
	if !idles(x.r) {
		if l := x.client.take(); l != nil {
			l.seq.Add(1)
			x.lane, x.c = l, l
			return nil
		}
	}
	ctx := x.r.Context()
	if x.Upload.Failed() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	st, err := x.client.stream(ctx)
	if err != nil {
		return err
	}
	x.c = st
	return nil
}

// idles reports whether the exchange will be idle for long, as far as one can tell.
func idles(r *http.Request) bool {
	if len(r.Header["Upgrade"]) > 0 {
		return true
	}
	for _, v := range r.Header["Accept"] {
		if strings.Contains(v, "text/event-stream") {
			return true
		}
	}
	return false
}

// contextEnded is called when the context of the request has ended. If net/http has ended it, because nothing
// more comes from the client, the handler's ends as well, and no more: the client may have closed only its
// half of the connection, and what the handler answers is for it. If its time is over, the handler's context
// ends by itself, and what the handler makes of that is for the client, too, if it comes soon. If somebody else
// has, with a cause, the request is given up.
func (x *call) contextEnded() {
	switch context.Cause(x.r.Context()) {
	case context.Canceled:
	case context.DeadlineExceeded:
		time.AfterFunc(answerTime, x.expired)
		return
	default:
		x.interrupt()
		return
	}
	if x.Upload.reading() || x.Upload.Failed() != nil {
		return // net/http does so before the failed read returns, and then the handler gets to know
	}
	x.endContext()
}

func (x *call) interrupt() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.interruptLocked()
}

func (x *call) interruptLocked() {
	if !x.ended {
		x.interrupted = true
		x.c.interrupt()
	}
}

// expired gives the request up whose time is over, unless its answer has begun: how long that goes on is up to
// the handler, as without a hop.
func (x *call) expired() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.begun {
		x.interruptLocked()
	}
}

// bodyEnded is called when the last of a longer body was read.
func (x *call) bodyEnded() {
	if x.r.Context().Err() != nil {
		x.endContext()
	}
}

// endContext has the peer end the context of the request, and nothing more.
func (x *call) endContext() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	switch c := x.c.(type) {
	case *lane:
		go x.client.endContext(c, c.seq.Load())
	case *stream:
		go c.t.cancelContext(c)
	}
}

// noInterrupt has the end of the request's context mean nothing from now on.
func (x *call) noInterrupt() {
	x.limits.end(x)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
}

// exchange sends the request and follows the answer to its end.
func (x *call) exchange() {
	if err := x.request(); err != nil {
		x.fail(err)
		return
	}
	for {
		f, err := x.c.next()
		if err != nil {
			x.lose(err)
			return
		}
		if x.lane != nil && f.id != x.lane.seq.Load() {
			x.lose(malformed("exchange: a frame of another one"))
			return
		}
		x.last = f.last()
		over, err := x.receive(f)
		if err != nil {
			x.fail(err)
			return
		}
		if over {
			if x.out.Err == errUnfinished {
				x.out.Err = nil
			}
			return
		}
	}
}

func (x *call) request() error {
	b := getBuffer()
	defer putBuffer(b)
	*b = putRequest(newHead(*b), x.r, x.Facts)
	var flags uint8
	body, failed, whole := x.Upload.inline()
	if x.body.sent = whole; whole {
		flags = fEnd
		*b = putBodyError(*b, failed)
	}
	*b = putExpiry(*b, x.r.Context())
	endHead(*b)
	head := len(*b) - headerSize - headLength
	if whole {
		*b = append(*b, body...)
	}
	if len(*b)-headerSize > maxPayload {
		x.out.Unreadable = true
		return fmt.Errorf("the request's header of %d bytes is too long to pass on", head)
	}
	if err := x.sendRequest(flags, *b); err != nil {
		return err // a frame that was not sent whole is not read
	}
	x.out.State = attempt.Sent
	return nil
}

func (x *call) sendRequest(flags uint8, b []byte) error {
	if x.lane != nil {
		return x.lane.ask(kReq, flags, b, nil)
	}
	return x.c.send(kReq, flags, b)
}

// receive takes one frame of the answer. It reports whether that was the last one.
func (x *call) receive(f frame) (over bool, err error) {
	if known, err := f.known(); !known {
		return false, err
	}
	switch f.kind {
	case kAccept:
		x.out.State = max(x.out.State, attempt.Started)
		return false, x.body.start()
	case kRes:
		return x.answer(f)
	case kData:
		return false, x.data(f)
	case kEnd:
		return true, x.end()
	case kRefused:
		return true, x.refused()
	case kReset:
		return true, x.reset(f)
	case kTunnel:
		if !x.settle(true) {
			return false, errInterrupted
		}
		x.out.State = max(x.out.State, attempt.Started)
		return true, x.tunnel()
	case kDeadline:
		return false, x.deadline()
	case kDuplex:
		x.duplex = true
		x.control().EnableFullDuplex()
		return false, nil
	case kLasts:
		if x.Laster != nil {
			x.Laster.Lasts()
		}
		return false, nil
	case kMark:
		if !x.settle(false) {
			return false, errInterrupted // without an answer the handler changes nothing
		}
		x.out.Marked, x.out.State = true, max(x.out.State, attempt.Started)
		return false, x.c.send(kMarked, 0, newFrame(nil))
	}
	return false, fmt.Errorf("%w: %v within an exchange", errProtocol, f.kind)
}

// fail ends the exchange from this side.
func (x *call) fail(err error) {
	if err == errInterrupted {
		x.lose(err)
		return
	}
	if x.out.Err == nil || x.out.Err == errUnfinished {
		x.out.Err = err
	}
}

// lose ends the exchange because no frame comes any more, or nobody waits for one.
func (x *call) lose(err error) {
	if why := x.givenUp(); err == errInterrupted && why != nil {
		x.out.GaveUp, x.out.Err = true, why
		return
	}
	if ctx := x.r.Context(); err == errInterrupted && ctx.Err() != nil {
		x.out.GaveUp = true
		x.out.Err = context.Cause(ctx)
		return
	}
	x.out.Err = fmt.Errorf("%w: %w", errLost, err)
	if x.lane == nil {
		return
	}
	if x.out.State == attempt.Sent && x.client.neverSeen(x.r.Context(), x.lane, x.lane.seq.Load()) {
		x.out.State = attempt.Refused
	}
	x.client.drop(x.lane)
	x.lane = nil
}

// finish gives back what the exchange went over.
func (x *call) finish() {
	x.limits.end(x)
	x.mu.Lock()
	x.ended = true
	interrupted, unwatch := x.interrupted, x.unwatch
	x.mu.Unlock()
	if x.lane != nil {
		x.lane.call.Store(nil)
	}
	if unwatch != nil {
		unwatch()
	}
	if err := x.Upload.Failed(); err != nil && x.out.Err != nil {
		x.out.BodyFailed = true
	}
	st, _ := x.c.(*stream)
	switch {
	case st != nil:
		x.finishStream(st)
	case x.lane == nil: // lost
	case x.out.Err != nil && !x.last:
		x.client.giveUp(x.lane, func() error { return x.body.stop(true) })
	default:
		if interrupted {
			x.lane.resume()
		}
		if x.body.stop(false) != nil {
			x.client.drop(x.lane)
			return
		}
		x.client.put(x.lane)
	}
}

// finishStream ends a stream. The peer forgets it with the end of its handler.
func (x *call) finishStream(st *stream) {
	st.interrupt() // whoever still sends the body
	x.body.stop(x.out.Err != nil && !x.last)
	st.t.forget(st)
}
