package forward

import (
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/internal/reqcopy"
)

// peerServer is the http.Server of the peer port. It never closes an idle connection by itself: only the side that
// dialled does, so a request is never written into a connection that is just being closed.
func (g *Gate) peerServer() *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(g.servePeer),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    4 << 20, // what the public listener let through, and the facts
		BaseContext:       g.cfg.BaseContext,
		ConnContext:       g.cfg.ConnContext,
		ErrorLog:          errorLog(g.cfg.Logger),
	}
}

// servePeer answers one request that a peer forwarded: it is served here or refused, and never forwarded again.
func (g *Gate) servePeer(w http.ResponseWriter, r *http.Request) {
	f, err := takeFacts(r)
	if err != nil {
		http.Error(w, "forwarded request: "+err.Error(), http.StatusBadRequest)
		return
	}
	g.running.enter() // before asking for the stage: a drain waits for whatever is not refused
	defer g.running.leave()
	if why := g.refusal(f); why != "" {
		refuse(w, f, why)
		return
	}
	stripHop(r.Header)
	w.Header().Set(idHeader, f.ID)
	r.Header.Set(idHeader, f.ID)
	info := Info{ID: f.ID, Node: g.cfg.Node, Via: f.Via, Scheme: f.Scheme, Trace: settleTrace(r.Header)}
	g.show(w.Header(), info)
	reqcopy.Share(r)
	c := r.WithContext(g.pass(r.Context(), info))
	defer reqcopy.Return(r, c)
	serveWithBody(*g.local.Load(), w, c)
}

// refusal returns why a peer's request is not started here, or "".
func (g *Gate) refusal(f *facts) string {
	switch s := stage(g.stage.Load()); {
	case f.Origin == g.cfg.ID:
		return "loop"
	case s != open:
		return s.String()
	case g.cfg.Role != cluster.Ordinary || g.local.Load() == nil:
		return "no application"
	}
	return ""
}

// refuse says that nothing of the request was started. The nonce proves that it is the gate that says so, and not a
// handler.
func refuse(w http.ResponseWriter, f *facts, why string) {
	w.Header().Set(refusedHeader, f.Nonce)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusServiceUnavailable)
	w.Write([]byte("refused: " + why + "\n"))
}

// stripHop removes whatever else of the hop's names a header holds.
func stripHop(h http.Header) {
	for name := range h {
		if isHop(name) {
			delete(h, name)
		}
	}
}

// errorLog takes what net/http has to say: about panics of handlers, above all.
func errorLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelWarn) }
