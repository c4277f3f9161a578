package texthop

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// Headers of the hop. They are believed on the peer port alone.
const (
	hopHeader     = "Webfarm-Hop"
	refusedHeader = "Webfarm-Refused"
)

// Facts are what a peer says about a request that it forwards.
type Facts struct{ Origin, Via, ID, Scheme string }

// Server answers the requests of peers.
type Server struct {
	// Enter returns why a request is not started here, "" if it is; then leave is called when its handler is
	// done.
	Enter func(f Facts) (why string, leave func())

	// Handler serves what was admitted.
	Handler func(w http.ResponseWriter, r *http.Request, f Facts)

	BaseContext func(net.Listener) context.Context                    // nil = none
	ConnContext func(ctx context.Context, c net.Conn) context.Context // nil = none
	Logger      *slog.Logger
}

// HTTP returns the http.Server of the peer port. It never closes an idle connection by itself: only the side
// that dialled does, so a request is never written into a connection that is just being closed.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    4 << 20, // what the public listener let through, and the facts
		BaseContext:       s.BaseContext,
		ConnContext:       s.ConnContext,
		ErrorLog:          errorLog(s.Logger),
	}
}

// serve answers one request that a peer forwarded: it is served here or refused, and never forwarded again.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	f, err := takeFacts(r)
	if err != nil {
		http.Error(w, "forwarded request: "+err.Error(), http.StatusBadRequest)
		return
	}
	said := Facts{Origin: f.Origin, Via: f.Via, ID: f.ID, Scheme: f.Scheme}
	why, leave := s.Enter(said)
	if why != "" {
		refuse(w, f, why)
		return
	}
	defer leave()
	stripHop(r.Header)
	serveWithBody(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Handler(w, r, said) }), w, r)
}

// refuse says that nothing of the request was started. The nonce proves that it is the gate that says so, and
// not a handler.
func refuse(w http.ResponseWriter, f *facts, why string) {
	w.Header().Set(refusedHeader, f.Nonce)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusServiceUnavailable)
	w.Write([]byte("refused: " + why + "\n"))
}

// stripHop removes whatever else of the hop's names a header holds.
func stripHop(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "Webfarm-") {
			delete(h, name)
		}
	}
}
