package forward

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/limit"
	"github.com/seed48eb2e21/webfarm/internal/reqcopy"
)

// Info says how a request came to its handler.
type Info struct {
	ID     string // of the request: 1 to 128 printable characters
	Node   string // name of the node that runs the handler
	Via    string // name of the node that took the request from the client; Node unless it was forwarded
	Scheme string // "http" or "https": what the client used, as far as this node or a trusted proxy knows
	Trace  string // id of the request's W3C trace, 32 hexadecimal digits; Traceparent is in the header
}

// Forwarded reports whether another node took the request from the client.
func (i Info) Forwarded() bool { return i.Via != i.Node }

type passKey struct{}

// pass is what the context of a request that a Gate lets through holds.
type pass struct {
	context.Context // of the request, which a pass is the context of itself: one allocation less
	Info
	gate   *Gate
	values reqcopy.Values // of the middlewares further in
	sent   sent           // what the client's request was before anybody further in had it

	outermost bool // nobody but a server has had the request before

	lines  [3]string // of headers: of the request and of the answer
	place  place     // in Gate.passes
	asksNo asksNo    // the zero one says nothing

	mu     sync.Mutex
	stream *stream   // nil unless it is one; guarded by mu
	tunnel bool      // its connection was taken over, and is not closed yet; guarded by mu
	ends   *[]func() // see AtReturn; nil = none; guarded by mu
	over   bool      // the handler has returned; guarded by mu

	to   *lane.Attempt // by which a peer has it; nil = none has; guarded by mu
	from *lane.Writer  // for a request that a peer has forwarded by lanes; nil = it has not
	asks bool          // the client asks for what lasts; only where from is set

	slot limit.Slot // in Gate.limit
	run  run
}

// Value is of context.Context.
func (p *pass) Value(key any) any {
	if _, ok := key.(passKey); ok {
		return p
	}
	if v, ok := p.values.Get(key); ok {
		return v
	}
	return p.Context.Value(key)
}

// Take is of reqcopy.Taker: the request with this context is the handler's own.
func (p *pass) Take(key, value any) bool { return p.values.Take(key, value) }

// Format writes the request's id, whatever the verb: fmt would look into the Gate.
func (p *pass) Format(w fmt.State, _ rune) { io.WriteString(w, "request "+p.ID) }

// FromContext returns what is known about the request to which ctx belongs; the zero Info outside of a Gate.
func FromContext(ctx context.Context) Info {
	if p := passOf(ctx); p != nil {
		return p.Info
	}
	return Info{}
}

// passOf returns the pass of the request to which ctx belongs; nil outside of a Gate.
func passOf(ctx context.Context) *pass {
	if p, ok := ctx.(*pass); ok {
		return p
	}
	p, _ := ctx.Value(passKey{}).(*pass)
	return p
}

// Logger returns Config.Logger of the Gate of the request to which ctx belongs, with the attributes
// "request", its id, and "trace", the id of its trace; slog.Default() outside of a Gate.
func Logger(ctx context.Context) *slog.Logger {
	if p := passOf(ctx); p != nil {
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
	return &pass{Context: ctx, Info: i, gate: g}
}
