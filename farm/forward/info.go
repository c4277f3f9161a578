package forward

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
)

// Info says how a request came to its handler.
type Info struct {
	ID     string // of the request: 1 to 128 printable characters
	Node   string // name of the node that runs the handler
	Via    string // name of the node that took the request from the client; equal to Node unless it was forwarded
	Scheme string // "http" or "https": what the client used, as far as this node or a trusted proxy knows
	Trace  string // id of the W3C trace to which the request belongs, 32 hexadecimal digits; its Traceparent is in the header
}

// Forwarded reports whether another node took the request from the client.
func (i Info) Forwarded() bool { return i.Via != i.Node }

type passKey struct{}

// pass is what the context of a request that a Gate lets through holds.
type pass struct {
	Info
	gate *Gate
}

// Format writes the request's id, whatever the verb: fmt would look into the Gate.
func (p *pass) Format(w fmt.State, _ rune) { io.WriteString(w, "request "+p.ID) }

// FromContext returns what is known about the request to which ctx belongs; the zero Info outside of a Gate.
func FromContext(ctx context.Context) Info {
	if p, ok := ctx.Value(passKey{}).(*pass); ok {
		return p.Info
	}
	return Info{}
}

// Draining returns a channel that is closed when the node that runs the handler of the request to which ctx belongs begins to
// drain, or is closed without a drain. It is never nil; outside of a Gate it is never closed.
func Draining(ctx context.Context) <-chan struct{} {
	if p, ok := ctx.Value(passKey{}).(*pass); ok {
		return p.gate.drain
	}
	return make(chan struct{})
}

// Logger returns Config.Logger of the Gate of the request to which ctx belongs, with the attributes "request", its id, and
// "trace", the id of its trace; slog.Default() outside of a Gate.
func Logger(ctx context.Context) *slog.Logger {
	if p, ok := ctx.Value(passKey{}).(*pass); ok {
		return p.gate.cfg.Logger.With("request", p.ID, "trace", p.Trace)
	}
	return slog.Default()
}

// show tells the client which nodes have to do with its request, where it is to know.
func (g *Gate) show(h http.Header, i Info) {
	if !g.cfg.ShowNodes {
		return
	}
	h.Set(servedBy, i.Node)
	if i.Forwarded() {
		h.Set(servedVia, i.Via)
	}
}

// Headers of answers, by Config.ShowNodes.
const (
	servedBy  = "X-Served-By"
	servedVia = "X-Served-Via"
)

// pass returns the context of a request that goes through this Gate.
func (g *Gate) pass(ctx context.Context, i Info) context.Context {
	return context.WithValue(ctx, passKey{}, &pass{i, g})
}
