package farm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/session"
)

const (
	beatTime   = 15 * time.Second // between two signs of life
	eventLimit = 10 * time.Second // for a client to take an event

	usualRetry = 3 * time.Second // a client's wait after a stream that broke off, give or take a third
	drainRetry = time.Second     // the most after a drain: another node is ready
)

// ErrDraining is the cause with which an EventStream ends because its node is about to stop.
var ErrDraining = forward.ErrDraining

var errStreamClosed = errors.New("farm: the event stream was closed")

// EventStream is a stream of server-sent events to one client. Events begins one; Close it before the
// handler returns.
type EventStream struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	lastID string
	gone   func() bool // forget the drain
	out    func() bool // forget the session

	mu     sync.Mutex
	w      http.ResponseWriter
	rc     *http.ResponseController
	buf    []byte      // reused; guarded by mu
	beat   *time.Timer // guarded by mu
	failed error       // why nothing can be written any more; guarded by mu
}

// Events begins the answer to r: a stream of server-sent events, for a browser's EventSource above all. It
// sends the header, commits the session, and from then on a sign of life every 15 seconds, which proxies
// and clients need. What the server template says of ReadTimeout and WriteTimeout does not end the stream;
// a client that does not take an event within 10 seconds does.
//
// Context says when it is over and why. A client whose stream ends because of a drain connects again within
// a second, and gets to a node that stays. One whose session has ended connects again after a few seconds,
// without it: a handler that answers anything but an event stream then has it stay away. A handler looks like this:
//
//	events, err := farm.Events(w, r)
//	if err != nil {
//		return err // behind farm.HandlerFunc
//	}
//	defer events.Close()
//	for {
//		select {
//		case <-events.Context().Done():
//			return nil
//		case m := <-messages:
//			events.Send(farm.Event{Data: m})
//		}
//	}
//
// Nothing may have been written to w before, and nothing else may be written after. It fails if the session
// cannot be committed, if the client has gone, and, wrapping http.ErrNotSupported, if a middleware's
// ResponseWriter cannot flush.
func Events(w http.ResponseWriter, r *http.Request) (*EventStream, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform") // compression on the way would hold events back
	h.Set("X-Accel-Buffering", "no")                 // nginx
	h.Del("Content-Length")

	s := &EventStream{w: w, rc: http.NewResponseController(w), lastID: r.Header.Get("Last-Event-Id")}
	s.ctx, s.cancel = context.WithCancelCause(r.Context())
	s.rc.SetReadDeadline(time.Time{}) // the request has been read; past it net/http would end its context
	w.WriteHeader(http.StatusOK)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.beginLocked(r.Method); err != nil {
		s.cancel(err)
		return nil, fmt.Errorf("farm: begin an event stream: %w", err)
	}
	s.beat = time.AfterFunc(beatTime, s.sendBeat)
	s.gone = forward.AfterDraining(r.Context(), func() { s.cancel(ErrDraining) })
	s.out = session.AfterDone(r.Context(), func() { s.cancel(session.ErrEnded) })
	forward.AtReturn(r.Context(), s.Close)
	return s, nil
}

// beginLocked sends the header, and how long to wait after a failure: at random, so that the clients of a
// node that fails do not all come back at once.
func (s *EventStream) beginLocked(method string) error {
	if method == http.MethodHead {
		s.failLocked(http.ErrBodyNotAllowed)
		return s.rc.Flush()
	}
	return s.writeLocked(Event{Retry: usualRetry*2/3 + rand.N(usualRetry*2/3)}.appendTo(s.buf[:0]))
}

// Context returns a context that ends with the stream. It has the values of the request's context.
// context.Cause tells why it ended: ErrDraining, because the node is about to stop; session.ErrEnded, because
// the session has ended, on whatever node, by a logout, a login or time (see session.Session.Done); or else
// that of the request's context, such as context.Canceled where the client has hung up, or what Send has
// failed with. After ErrDraining the stream can still be written to.
func (s *EventStream) Context() context.Context { return s.ctx }

// LastID returns the ID of the last event that the client has received, in a stream before this one; "" if
// it says none. It is the client's word.
func (s *EventStream) LastID() string { return s.lastID }

// Send sends an event and waits until it is written, for 10 seconds at most. Several goroutines may call
// it. An error is about the event (an ID with a line break, for example), or says that the stream is over.
func (s *EventStream) Send(e Event) error {
	if err := e.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	if s.ctx.Err() != nil && !errors.Is(context.Cause(s.ctx), ErrDraining) {
		return fmt.Errorf("farm: the event stream is over: %w", context.Cause(s.ctx))
	}
	s.beat.Reset(beatTime)
	if err := s.writeLocked(e.appendTo(s.buf[:0])); err != nil {
		return s.failLocked(fmt.Errorf("farm: send an event: %w", err))
	}
	return nil
}

// Close ends the stream; the handler returns then. Only the first call does anything. After a drain it
// tells the client to come back soon.
func (s *EventStream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil && context.Cause(s.ctx) == ErrDraining {
		s.writeLocked(Event{Retry: drainRetry/10 + rand.N(drainRetry*9/10)}.appendTo(s.buf[:0]))
	}
	s.failLocked(errStreamClosed)
	s.gone()
	s.out()
	s.beat.Stop()
}

// sendBeat sends a comment, of which clients take no notice.
func (s *EventStream) sendBeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil || s.ctx.Err() != nil {
		return
	}
	if err := s.writeLocked(append(s.buf[:0], ":\n\n"...)); err != nil {
		s.failLocked(fmt.Errorf("farm: the client of an event stream is not there any more: %w", err))
		return
	}
	s.beat.Reset(beatTime)
}

// failLocked ends the stream, for this reason unless there was one before.
func (s *EventStream) failLocked(err error) error {
	if s.failed == nil {
		s.failed = err
		s.cancel(err)
	}
	return s.failed
}

// writeLocked writes b at once. The deadline is taken back after it: one that passes while nothing is
// written ends an HTTP/2 stream.
func (s *EventStream) writeLocked(b []byte) error {
	s.rc.SetWriteDeadline(time.Now().Add(eventLimit)) // optional: tests write to what knows no deadlines
	_, err := s.w.Write(b)
	if err == nil {
		err = s.rc.Flush()
	}
	s.rc.SetWriteDeadline(time.Time{})
	if cap(b) <= 1<<10 {
		s.buf = b
	}
	return err
}
