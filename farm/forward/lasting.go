package forward

import (
	"context"
	"net/http"
	"strings"
)

// around is what runs the application's handler: it keeps an eye on requests that last.
func (g *Gate) around(local http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := passOf(r.Context())
		if g.passes.enter(p, r) {
			defer g.passes.leave(p)
		}
		p.begins() // a peer may have had it first
		defer p.returned()
		if lasting, ok := w.(*eventsWriter); ok { // it was to be forwarded, and there was no peer
			w = lasting.ResponseWriter
		}
		switch _, has := w.(*tunnelWriter); {
		case has:
		case !p.asksNo.upgrade && asksForTunnel(r):
			w = &tunnelWriter{ResponseWriter: w, pass: p, grace: g.grace()}
		case p.from == nil && !p.asksNo.events && acceptsEvents(r):
			w = &headerWriter{ResponseWriter: w, pass: p}
		}
		local.ServeHTTP(w, r)
	})
}

// passOn forwards a client's request. The handler of one that lasts runs on another node, which does not
// drain: it is told to go when its time has come, and cut off here if it does not.
func (g *Gate) passOn(w http.ResponseWriter, r *http.Request) {
	p := passOf(r.Context())
	defer g.elsewhere(p, r)()
	switch {
	case asksForTunnel(r):
		w = &tunnelWriter{ResponseWriter: w, pass: p, grace: g.grace()}
	case asksForEvents(r):
		ctx, cut := context.WithCancelCause(r.Context())
		defer cut(nil)
		r = r.WithContext(ctx)
		w = &eventsWriter{ResponseWriter: w, pass: p, cut: func() { cut(ErrDraining) }}
	}
	g.forward(w, r)
}

// elsewhere notes that a peer answers the request from now on, until done is called.
func (g *Gate) elsewhere(p *pass, r *http.Request) (done func()) {
	p.values.Close() // the way there reads them, and the handler may be run here afterwards
	p.begins()       // this node's handler may have had it first
	first := g.passes.enter(p, r)
	return func() {
		p.returned()
		if first {
			g.passes.leave(p)
		}
	}
}

// begins notes that a handler has the request, here or at a peer.
func (p *pass) begins() {
	p.mu.Lock()
	p.over = false
	p.mu.Unlock()
}

// returned notes that the handler has returned. A tunnel lasts until it is closed.
func (p *pass) returned() {
	p.mu.Lock()
	p.over = true
	ends, st := p.ends, p.stream
	p.ends = nil
	if p.tunnel {
		st = nil
	} else {
		p.stream = nil
	}
	p.mu.Unlock()
	if ends != nil {
		for _, end := range *ends {
			end()
		}
	}
	if st != nil {
		p.gate.streams.leave(st)
	}
}

// asksForTunnel reports whether r asks for a WebSocket.
func asksForTunnel(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// asksForEvents reports whether r asks for server-sent events, as a browser's EventSource does.
func asksForEvents(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream")
}

// eventsWriter writes the answer to a request for events that a peer gives. It can be cut off once it has
// begun: an EventSource that gets an error instead does not come back.
type eventsWriter struct {
	http.ResponseWriter
	pass *pass
	cut  func()
}

// Unwrap lets an http.ResponseController reach the server's own methods.
func (w *eventsWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *eventsWriter) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	if status < 200 {
		return
	}
	if st := w.pass.asStream(); st != nil {
		w.pass.gate.streams.arm(st, w.cut, w.pass.gate.grace())
	}
}
