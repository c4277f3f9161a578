package texthop

import (
	"io"
	"net/http"
	"sync"

	"github.com/seed48eb2e21/webfarm/internal/linger"
)

// peerBody is the body of a forwarded request as its handler sees it. The body itself is still where the
// client sends it; the first read asks for it, by a "100 Continue". HTTP/1 has no room for one behind the
// header of the answer. A handler that reads after that gets an error, as net/http gives it, unless it has
// called EnableFullDuplex: then the body is asked for before.
type peerBody struct {
	io.ReadCloser
	w http.ResponseWriter

	mu     sync.Mutex
	asked  bool // guarded by mu
	late   bool // the header of the answer is under way; guarded by mu
	duplex bool // guarded by mu
	ended  bool // nothing more will come of it; guarded by mu
}

func (b *peerBody) Read(p []byte) (int, error) {
	if !b.ask() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.mu.Lock()
		b.ended = true
		b.mu.Unlock()
	}
	return n, err
}

// ask reports whether the body was asked for, and does so if there is time.
func (b *peerBody) ask() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.late {
		b.askLocked()
	}
	return b.asked
}

func (b *peerBody) askLocked() {
	if !b.asked {
		b.asked = true
		b.w.WriteHeader(http.StatusContinue)
	}
}

// header is called before the header of the answer is sent.
func (b *peerBody) header() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late {
		return
	}
	if b.duplex {
		b.askLocked()
	}
	b.late = true
	b.leaveLocked()
}

// done is called when the handler has returned: if it has not written anything, the header goes now.
func (b *peerBody) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.late {
		b.leaveLocked()
	}
}

// leaveLocked is called before the header of the answer is sent. A body that the handler has asked for and
// left is on its way. So the connection ends with the answer, and not before the peer that sends the body
// could read it.
func (b *peerBody) leaveLocked() {
	if b.asked && !b.ended {
		linger.Close(b.w)
	}
}

// peerWriter is the http.ResponseWriter beside a peerBody, and tells it when the header goes.
type peerWriter struct {
	http.ResponseWriter
	body *peerBody
}

// serveWithBody has h answer r, which is a copy (the server goes on with the body it knows), with a body that
// is asked for.
func serveWithBody(h http.Handler, w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		h.ServeHTTP(w, r)
		return
	}
	b := &peerBody{ReadCloser: r.Body, w: w}
	r.Body = b
	h.ServeHTTP(&peerWriter{w, b}, r)
	b.done()
}

func (w *peerWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.body.header()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *peerWriter) Write(p []byte) (int, error) {
	w.body.header()
	return w.ResponseWriter.Write(p)
}

func (w *peerWriter) FlushError() error {
	w.body.header()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *peerWriter) Flush() { _ = w.FlushError() }

func (w *peerWriter) EnableFullDuplex() error {
	w.body.mu.Lock()
	w.body.duplex = true
	w.body.mu.Unlock()
	return http.NewResponseController(w.ResponseWriter).EnableFullDuplex()
}

// Unwrap is for http.ResponseController.
func (w *peerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
