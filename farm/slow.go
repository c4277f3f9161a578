package farm

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
	"github.com/seed48eb2e21/webfarm/internal/reqcopy"
)

const (
	mostAtOnce = 64 << 10 // bytes that are written before it is looked whether the client takes them
	stallTime  = time.Minute
	minRate    = 512
	surelySent = 16 << 10 // with more of a body than this, the header has been sent
)

// paceOf returns how fast clients have to be, by Config.StallTimeout and Config.MinRate.
func paceOf(c Config) pace {
	p := pace{stall: c.StallTimeout, rate: c.MinRate}
	if p.stall == 0 {
		p.stall = stallTime
	}
	if p.rate == 0 {
		p.rate = minRate
	}
	return p
}

// paced cuts off clients who make no progress while h waits for them: those whose body h reads and does not
// come, and, of HTTP/2, those who do not take its answer. With HTTP/1 their connection does that (tcpConn).
// What t bounds by itself is left to it.
//
// A handler that only thinks, an event stream without events, a WebSocket, wait for nobody. A handler that
// sets a deadline for reading has decided for itself.
func paced(h http.Handler, p pace, t *http.Server, cut func()) http.Handler {
	if p.stall < 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		withBody := r.Body != nil && r.Body != http.NoBody
		if !withBody && r.ProtoMajor == 1 {
			h.ServeHTTP(w, r)
			return
		}
		s := &slowWriter{ResponseWriter: w, control: http.NewResponseController(w), http1: r.ProtoMajor == 1,
			discards: withBody && r.ProtoMajor == 1 && t.ReadTimeout <= 0}
		s.bounded.Store(t.WriteTimeout > 0)
		past := time.Unix(1, 0)
		s.in = meter{pace: p, cut: func() { cut(); s.control.SetReadDeadline(past) }}
		s.out = meter{pace: p, cut: func() { cut(); s.control.SetWriteDeadline(past) }}
		// streams of messages may be silent for long
		s.own.Store(strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"))
		defer s.done()
		if withBody {
			reqcopy.Share(r)
			c := r.WithContext(r.Context())
			c.Body = &slowBody{r.Body, s}
			defer reqcopy.Return(r, c)
			r = c
		}
		h.ServeHTTP(s, r)
	})
}

// slowWriter is the ResponseWriter of a request whose client is watched.
type slowWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	http1    bool
	discards bool // net/http reads what the handler has left of the body, before the header and after the handler
	in, out  meter
	bounded  atomic.Bool // the time of the answer is, by the server or the handler
	own      atomic.Bool // the handler reads with deadlines of its own, or may wait
	ended    atomic.Bool // the body is
	left     atomic.Bool // net/http reads nothing of the body before the header any more
	hijacked atomic.Bool
	sent     atomic.Int64
}

// slowBody is the body of such a request.
type slowBody struct {
	io.ReadCloser
	w *slowWriter
}

func (b *slowBody) Read(p []byte) (n int, err error) {
	if b.w.own.Load() {
		n, err = b.ReadCloser.Read(p)
	} else {
		b.w.in.begin()
		n, err = b.ReadCloser.Read(p)
		b.w.in.end(n)
	}
	if err != nil {
		b.w.ended.Store(true)
	}
	return n, err
}

func (w *slowWriter) Write(b []byte) (n int, err error) {
	if w.http1 {
		w.discarding(func() { n, err = w.ResponseWriter.Write(b) })
		if w.sent.Add(int64(n)) > surelySent {
			w.left.Store(true)
		}
		return n, err
	}
	for first := true; first || len(b) > 0 && err == nil; first = false {
		var some int
		w.out.begin()
		some, err = w.ResponseWriter.Write(b[:min(len(b), mostAtOnce)])
		w.out.end(some)
		n, b = n+some, b[some:]
	}
	return n, err
}

func (w *slowWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *slowWriter) FlushError() (err error) {
	if w.http1 {
		w.discarding(func() { err = w.control.Flush() })
		w.left.Store(true)
		return err
	}
	w.out.begin()
	defer w.out.end(0)
	return w.control.Flush()
}

func (w *slowWriter) Flush() { _ = w.FlushError() }

// discarding does what may send the header. net/http reads then what is left of a short body.
func (w *slowWriter) discarding(send func()) {
	if !w.mayDiscard() {
		send()
		return
	}
	w.control.SetReadDeadline(time.Now().Add(w.in.stall))
	send()
	w.control.SetReadDeadline(time.Time{}) // behind the body it waits for the next request, and for the client to go
}

func (w *slowWriter) mayDiscard() bool {
	return w.discards && !w.ended.Load() && !w.left.Load() && !w.own.Load()
}

// done is called when the handler has returned: what is left to do net/http does, with deadlines that it
// removes at the end.
func (w *slowWriter) done() {
	w.in.stop()
	w.out.stop()
	switch {
	case w.discards && !w.ended.Load() && !w.hijacked.Load():
		w.control.SetReadDeadline(time.Now().Add(w.in.stall))
	case !w.http1 && !w.bounded.Load():
		w.control.SetWriteDeadline(time.Now().Add(w.out.stall))
	}
}

// SetReadDeadline is for http.ResponseController.
func (w *slowWriter) SetReadDeadline(t time.Time) error {
	w.own.Store(true)
	return w.control.SetReadDeadline(t)
}

// SetWriteDeadline is for http.ResponseController.
func (w *slowWriter) SetWriteDeadline(t time.Time) error {
	w.bounded.Store(!t.IsZero())
	return w.control.SetWriteDeadline(t)
}

// EnableFullDuplex is for http.ResponseController.
func (w *slowWriter) EnableFullDuplex() error {
	err := w.control.EnableFullDuplex()
	if err == nil {
		w.left.Store(true)
	}
	return err
}

// Hijack is for http.ResponseController.
func (w *slowWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.control.Hijack()
	if err == nil {
		w.hijacked.Store(true)
		w.left.Store(true)
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (w *slowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// slowLog says from time to time how many clients were cut off.
type slowLog struct {
	log *slog.Logger
	due descriptors.Warning
	n   atomic.Int64
}

func (l *slowLog) note() {
	l.n.Add(1)
	if l.due.Due() {
		l.log.Warn("clients made no progress and were cut off: bodies that did not come, or answers that were not taken",
			"count", l.n.Swap(0), "advice", "if they are visitors on slow lines, raise Config.StallTimeout or lower Config.MinRate")
	}
}
