package forward

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
)

// acceptsEvents reports whether server-sent events are among what r asks for.
func acceptsEvents(r *http.Request) bool { return acceptEvents(r.Header["Accept"]) }

func acceptEvents(accept []string) bool {
	for _, v := range accept {
		if strings.Contains(v, eventStream) {
			return true
		}
	}
	return false
}

const eventStream = "text/event-stream"

// areEvents reports whether an answer with this header is a stream of server-sent events.
func areEvents(h http.Header) bool { return strings.HasPrefix(h.Get("Content-Type"), eventStream) }

// Header is told of the header of the answer that a handler of this node gives: a stream of events counts no
// more among the requests that run.
func (p *pass) Header(_ int, h http.Header) {
	if areEvents(h) {
		p.slot.Stream()
	}
}

// headerWriter tells its pass of the final header. It is for clients that accept events: all others have the
// server's own ResponseWriter.
type headerWriter struct {
	http.ResponseWriter
	pass *pass
	told bool
}

func (w *headerWriter) tell(status int) {
	if !w.told && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.told = true
		w.pass.Header(status, w.Header())
	}
}

func (w *headerWriter) WriteHeader(status int) {
	w.tell(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *headerWriter) Write(p []byte) (int, error) {
	w.tell(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// WriteString is of io.StringWriter.
func (w *headerWriter) WriteString(s string) (int, error) {
	w.tell(http.StatusOK)
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom is of io.ReaderFrom.
func (w *headerWriter) ReadFrom(r io.Reader) (int64, error) {
	w.tell(http.StatusOK)
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

// FlushError is what http.ResponseController.Flush calls.
func (w *headerWriter) FlushError() error {
	w.tell(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is of http.Flusher.
func (w *headerWriter) Flush() { _ = w.FlushError() }

// Hijack is of http.Hijacker.
func (w *headerWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// CloseNotify is of http.CloseNotifier, which old handlers ask for.
func (w *headerWriter) CloseNotify() <-chan bool {
	if c, ok := w.ResponseWriter.(interface{ CloseNotify() <-chan bool }); ok {
		return c.CloseNotify()
	}
	return make(chan bool)
}

// Unwrap lets an http.ResponseController reach the server's own methods.
func (w *headerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
