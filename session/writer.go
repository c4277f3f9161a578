package session

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
)

// writer is the ResponseWriter that handlers get. It settles the session once, before the first byte of the final
// header: commits the changes and adds what the header must carry. If that fails, an error page takes the place of
// whatever the handler writes.
//
// It is always a Flusher, a Hijacker and a ReaderFrom. What the writer beneath cannot do comes back as an error.
type writer struct {
	http.ResponseWriter
	request *http.Request
	session atomic.Pointer[Session] // nil, begun or over: see visit
}

// Format writes what it is, whatever the verb: fmt would look into the session.
func (w *writer) Format(f fmt.State, _ rune) { io.WriteString(f, w.String()) }

// String returns what it is.
func (w *writer) String() string { return "response of a request with a session" }

// LogValue returns what it is.
func (w *writer) LogValue() slog.Value { return slog.StringValue(w.String()) }

func (w *writer) settle() error {
	_, err := w.settleFirst()
	return err
}

// WriteHeader lets informational headers pass: they carry none of our cookies, and the session stays open.
func (w *writer) WriteHeader(code int) {
	if !final(code) {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	first, err := w.settleFirst()
	if err != nil {
		return
	}
	if s := w.asked(); first && s != nil {
		s.body.closeIfLeft(w.ResponseWriter, code)
	}
	w.ResponseWriter.WriteHeader(code)
}

// final reports whether a status is the response's last.
func final(code int) bool { return code < 100 || code >= 200 || code == http.StatusSwitchingProtocols }

// CloseNotify returns a channel that gets a value when the client is gone. Older frameworks ask for it and panic where it is
// missing (gin's Context.Stream); the request's context says the same.
func (w *writer) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(w.request.Context(), func() { gone <- true })
	return gone
}

func (w *writer) Write(b []byte) (int, error) {
	if err := w.settle(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

func (w *writer) WriteString(s string) (int, error) {
	if err := w.settle(); err != nil {
		return 0, err
	}
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom keeps sendfile: the writer beneath sees the reader itself.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	if err := w.settle(); err != nil {
		return 0, err
	}
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

func (w *writer) FlushError() error {
	if err := w.settle(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writer) Flush() { _ = w.FlushError() }

// Hijack commits too. What the header would have carried stays in Header, for whoever writes the answer now.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	first, err := w.settleFirst()
	if err != nil {
		return nil, nil, err
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if s := w.asked(); err == nil && first && s != nil && s.told {
		s.m.cfg.Logger.Warn("session: a connection was taken over before the header was written, and with it goes the token, "+
			"unless the handler sends it as it stands in the ResponseWriter's Header", "session", s.ID())
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController: deadlines and full duplex need nothing of us.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Begun reports whether the final header was sent, or an error page in its place.
func (w *writer) Begun() bool {
	s := w.asked()
	if s == nil {
		return w.session.Load() != nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled
}
