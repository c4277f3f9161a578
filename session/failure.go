package session

import (
	"bufio"
	"net"
	"net/http"
)

// fail answers in place of the handler. The header holds nothing of the handler's.
func (s *Session) fail(err error) {
	s.m.cfg.Logger.Debug("session: request failed", "err", err)
	dropRepresentation(s.w.Header())
	s.body.closeIfLeft(s.w, http.StatusServiceUnavailable)
	w := &failureWriter{ResponseWriter: s.w}
	s.m.cfg.OnError(w, s.r, err)
	if !w.answered {
		errorPage(s.w, s.r, err) // and not the 200 that net/http makes of nothing
	}
}

// failureWriter is what Config.OnError writes to. It notices whether it does.
type failureWriter struct {
	http.ResponseWriter
	answered bool
}

func (w *failureWriter) WriteHeader(code int) {
	w.answered = w.answered || final(code)
	w.ResponseWriter.WriteHeader(code)
}

func (w *failureWriter) Write(b []byte) (int, error) {
	w.answered = true
	return w.ResponseWriter.Write(b)
}

func (w *failureWriter) FlushError() error {
	w.answered = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *failureWriter) Flush() { _ = w.FlushError() }

func (w *failureWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.answered = w.answered || err == nil
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (w *failureWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
