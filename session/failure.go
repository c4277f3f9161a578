package session

import (
	"bufio"
	"net"
	"net/http"

	"github.com/seed48eb2e21/webfarm/internal/reqcopy"
)

// fail answers in place of the handler. The header holds nothing of the handler's.
func (s *Session) fail(err error) {
	s.m.cfg.Logger.Debug("session: request failed", "err", err)
	dropRepresentation(s.w.Header())
	s.body.closeIfLeft(s.w, http.StatusServiceUnavailable)
	w := &failureWriter{ResponseWriter: s.w}
	s.m.onError(w, s.r, err)
	if !w.answered {
		errorPage(s.w, s.r, err) // and not the 200 that net/http makes of nothing
	}
}

// onError calls Config.OnError, with a request that holds no token.
func (m *Manager) onError(w http.ResponseWriter, r *http.Request, err error) {
	reqcopy.Share(r)
	c := r.WithContext(r.Context())
	c.Header = m.withoutProof(r.Header, new([1]string))
	defer reqcopy.Return(r, c)
	m.cfg.OnError(w, c, err)
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
