package lane

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Writer is the http.ResponseWriter of a forwarded request. What net/http's own does to an answer (its date,
// the kind of its content, its length, how it is framed) is left to the server at the dialler: it does all
// that when it writes the answer to the client. So the Writer passes on the calls, and keeps to the same
// rules about which of them are allowed.
type Writer struct {
	x      *exchange
	header http.Header

	// Watch is told of the final header, before it leaves. It is set before anything is written, and returns at
	// once. nil = nobody.
	Watch HeaderWatcher

	mu       sync.Mutex
	refusal  *Refusal // guarded by mu
	status   int      // 0 = not said yet; guarded by mu
	length   int64    // that the handler has declared; -1 = none; guarded by mu
	written  int64    // guarded by mu
	sent     bool     // the head has left; guarded by mu
	done     bool     // the handler has returned; guarded by mu
	hijacked *tunnel  // nil = not; guarded by mu
	buf      *[]byte  // a frame that is being filled; nil = none; guarded by mu
	marked   bool     // guarded by mu
	limits   uint32   // deadlines that were set, so far; guarded by limitMu
	trailers []string // that were announced; guarded by mu

	limitMu sync.Mutex

	head   bool        // the answer to HEAD has no body
	duplex atomic.Bool // the handler reads and writes at the same time
	begun  atomic.Bool // net/http would have sent the header by now
	last   atomic.Bool // net/http would close the connection behind the answer, and leave the body alone
}

// HeaderWatcher is told of the header of an answer.
type HeaderWatcher interface {
	Header(status int, h http.Header)
}

func (w *Writer) init(x *exchange) {
	w.x = x
	w.header = make(http.Header)
	w.length = -1
	w.head = x.req.Method == http.MethodHead
	if x.req.ProtoMajor >= 2 {
		w.duplex.Store(true)
	}
}

// late reports whether a handler that reads its request's body now would be told by net/http that it is too
// late.
func (w *Writer) late() bool { return w.begun.Load() && !w.duplex.Load() && !w.last.Load() }

// Refuse says that nothing of the request was or will be started here; the dialler may give it to another
// peer. It must be called before anything was written or read, and nothing must be written afterwards.
func (w *Writer) Refuse(r Refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusal = &r
}

// Header is of http.ResponseWriter.
func (w *Writer) Header() http.Header { return w.header }

// WriteHeader is of http.ResponseWriter.
func (w *Writer) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeaderLocked(status)
}

func (w *Writer) writeHeaderLocked(status int) {
	if w.hijacked != nil || w.status != 0 || w.done {
		return // net/http writes to its log
	}
	if status < 100 || status > 999 {
		panic("invalid WriteHeader code " + strconv.Itoa(status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.interimLocked(status)
		return
	}
	w.status = status
	if w.Watch != nil {
		w.Watch.Header(status, w.header)
	}
	w.last.Store(w.x.req.Close || w.header.Get("Connection") == "close")
	if v := w.header["Content-Length"]; len(v) > 0 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil && n >= 0 {
			w.length = n // what is no length is removed by the server at the dialler
		}
	}
	for _, v := range w.header["Trailer"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name != "" {
				w.trailers = append(w.trailers, name)
			}
		}
	}
	w.buf = getBuffer()
	*w.buf = w.putHead(*w.buf, status)
}

// putHead makes a RES frame with the header as it is now, to which a body may be added.
func (w *Writer) putHead(b []byte, status int) []byte {
	b = w.x.server.load().put(newHead(b))
	b = binary.AppendUvarint(b, uint64(status))
	b = putHeader(b, w.header)
	endHead(b)
	return b
}

func (w *Writer) interimLocked(status int) {
	b := getBuffer()
	defer putBuffer(b)
	*b = w.putHead(*b, status)
	w.x.send(kRes, fInterim|fFlush, *b)
}

// Write is of io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.beginLocked(len(p)); err != nil || len(p) == 0 {
		return 0, err
	}
	return w.appendLocked(p)
}

// WriteString is of io.StringWriter.
func (w *Writer) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// beginLocked says whether n bytes more may be written.
func (w *Writer) beginLocked(n int) error {
	switch {
	case w.hijacked != nil:
		return http.ErrHijacked
	case w.done:
		return errFinished
	}
	if w.status == 0 {
		w.writeHeaderLocked(http.StatusOK)
	}
	if n == 0 {
		return nil
	}
	if !bodyAllowed(w.status) {
		return http.ErrBodyNotAllowed
	}
	w.written += int64(n)
	if w.length != -1 && w.written > w.length {
		return http.ErrContentLength
	}
	if w.written > 2<<10 { // what net/http keeps back
		w.begun.Store(true)
	}
	return nil
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// appendLocked adds to the frame that is being filled, and sends it whenever it is full.
func (w *Writer) appendLocked(p []byte) (n int, err error) {
	for len(p) > 0 {
		if w.head && w.sent {
			return n + len(p), nil // of a body that nobody gets, the beginning tells its kind and length
		}
		w.wantBufLocked()
		k := min(len(p), max(headerSize+chunk-len(*w.buf), 0))
		*w.buf = append(*w.buf, p[:k]...)
		n, p = n+k, p[k:]
		if len(p) > 0 || len(*w.buf) >= headerSize+chunk {
			if err := w.flushLocked(0); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (w *Writer) wantBufLocked() {
	if w.buf == nil {
		w.buf = getBuffer()
		*w.buf = newFrame(*w.buf)
	}
}

// flushLocked sends what is there.
func (w *Writer) flushLocked(flags uint8) error {
	if w.buf == nil {
		return nil
	}
	b := w.buf
	w.buf = nil
	defer putBuffer(b)
	k := kData
	if !w.sent {
		k, w.sent = kRes, true
		w.begun.Store(true)
	}
	return w.x.send(k, flags, *b)
}

// ReadFrom is of io.ReaderFrom.
func (w *Writer) ReadFrom(r io.Reader) (n int64, err error) {
	b := getBuffer()
	defer putBuffer(b)
	p := (*b)[:chunk]
	for {
		k, err := r.Read(p)
		if k > 0 {
			m, werr := w.Write(p[:k])
			if n += int64(m); werr != nil {
				return n, werr
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// Flush is of http.Flusher.
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController.Flush calls.
func (w *Writer) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.beginLocked(0); err != nil {
		return err
	}
	w.wantBufLocked() // also an empty frame says that it is time to flush
	return w.flushLocked(fFlush)
}

// SetReadDeadline sets the deadline for reads of the client's connection.
func (w *Writer) SetReadDeadline(at time.Time) error { return w.setDeadline('r', at) }

// SetWriteDeadline sets the deadline for writes to the client's connection.
func (w *Writer) SetWriteDeadline(at time.Time) error { return w.setDeadline('w', at) }

// EnableFullDuplex is what http.ResponseController.EnableFullDuplex calls.
func (w *Writer) EnableFullDuplex() error {
	if w.duplex.Swap(true) {
		return nil
	}
	return w.x.send(kDuplex, 0, newFrame(nil))
}

// CloseNotify is of http.CloseNotifier, which old handlers ask for.
func (w *Writer) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(w.x.ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.done {
			gone <- true
		}
	})
	return gone
}

// finish ends the answer when the handler has returned. It reports false if the connection is at its end.
func (w *Writer) finish() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	if w.refusal != nil && w.status == 0 {
		b := w.x.server.load().put(newFrame(nil))
		return w.x.last(kRefused, 0, w.refusal.put(b)) == nil
	}
	if w.status == 0 {
		w.done = false
		w.writeHeaderLocked(http.StatusOK)
		w.done = true
	}
	trailer := w.trailerLocked()
	if !w.sent && len(trailer) == 0 {
		return w.endLocked()
	}
	if w.flushLocked(0) != nil {
		return w.x.last(kReset, fStarted, append(newFrame(nil), resetStopped)) == nil
	}
	b := getBuffer()
	defer putBuffer(b)
	*b = w.x.server.load().put(newFrame(*b))
	*b = append(*b, bodyWhole)
	*b = putHeader(*b, trailer)
	return w.x.last(kEnd, 0, *b) == nil
}

// endLocked sends the answer whole.
func (w *Writer) endLocked() bool {
	b := w.buf
	w.buf = nil
	return w.x.answer(b) == nil
}

// trailerLocked returns what the handler has set as a trailer, in both ways that net/http knows.
func (w *Writer) trailerLocked() http.Header {
	var t http.Header
	add := func(name string, values []string) {
		if t == nil {
			t = make(http.Header)
		}
		t[name] = values
	}
	for _, name := range w.trailers {
		if v, ok := w.header[name]; ok {
			add(name, v)
		}
	}
	for name, v := range w.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			add(name, v)
		}
	}
	return t
}
