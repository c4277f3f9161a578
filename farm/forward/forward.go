package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/internal/linger"
)

// exchange is one public request on its way to a peer.
type exchange struct {
	facts facts
	nonce string
	conn  string  // the other end of the client's connection, or of a proxy's
	http1 bool    // the client's connection carries one exchange at a time
	body  *replay // nil without a body
	err   error   // why there is no answer
}

// Format writes which request it is, whatever the verb: contexts that hold an exchange may be printed.
func (x *exchange) Format(w fmt.State, _ rune) { io.WriteString(w, "exchange of request "+x.facts.ID) }

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

// originOf returns where a request comes from. A client of IPv6 has a network of its own.
func originOf(r *http.Request) origin {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return origin{}
	}
	o := origin{client: x.facts.Client, conn: x.conn}
	if a, ok := remoteIP(x.facts.Client); ok {
		o.client = a.String()
		if a.Is6() {
			o.client = netip.PrefixFrom(a, 64).Masked().String()
		}
	}
	return o
}

// attempt returns req for one try at one peer.
func (x *exchange) attempt(req *http.Request) *http.Request {
	if x.body == nil {
		return req
	}
	a := req.WithContext(req.Context())
	a.Body = x.body.view()
	return a
}

// rewind reports whether the request can be sent again: nobody has read from its body. Nobody will, for the attempts made
// so far.
func (x *exchange) rewind() bool { return x.body == nil || x.body.revoke() }

// leaveBody is called before the header of the answer, which may come before the end of an upload: the answer must not wait
// for that, and net/http would. What is left of the body spoils the connection for another request. A body that no peer has
// begun to read is different: net/http does with it what it does where a handler has not.
func (x *exchange) leaveBody(w http.ResponseWriter) {
	if !x.http1 || x.body == nil || !x.body.underWay() {
		return
	}
	http.NewResponseController(w).EnableFullDuplex() // optional
	linger.Close(w)
}

// brokeOff reports whether the client's body did. A read that fails ends the context of its request, before it returns and
// without a cause of its own.
func (x *exchange) brokeOff(ctx context.Context) bool {
	return x.body != nil && (x.body.failed() || x.body.underWay() && context.Cause(ctx) == context.Canceled)
}

// newProxy makes the reverse proxy through which all forwarded requests go.
func (g *Gate) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     g.hop,
		FlushInterval: -1, // streams are passed on as they come
		BufferPool:    &buffers{},
		ErrorLog:      errorLog(g.cfg.Logger),
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			exchangeOf(r).err = err
		},
	}
}

// rewrite turns a client's request into the one sent to a peer. Which peer is decided later, at each attempt.
func rewrite(p *httputil.ProxyRequest) {
	x := exchangeOf(p.In)
	p.Out.URL.Scheme = "http"
	p.Out.URL.Host = "peer"
	p.Out.URL.RawQuery = p.In.URL.RawQuery // the peer is to see what this node's handler would have seen
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := p.In.Header[name]; ok { // they were judged on arrival
			p.Out.Header[name] = v
		}
	}
	p.Out.Trailer = p.In.Trailer // shared: it is filled while the body is read
	p.Out.Header.Del("Expect")
	if p.Out.Body != nil {
		// The body stays here until the peer's handler asks for it, so that a refused request is whole.
		p.Out.Header.Set("Expect", "100-continue")
		x.body = &replay{body: p.Out.Body}
	}
	if header, err := x.facts.header(); err == nil {
		p.Out.Header.Set(hopHeader, header)
	}
}

// forward sends a public request to a peer, and answers in its place when there is none. It came over the
// connection from conn.
func (g *Gate) forward(w http.ResponseWriter, r *http.Request, conn string) {
	if r.Method == http.MethodConnect {
		ServeProblem(w, r, problemConnect)
		return
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		r.Header.Del("Upgrade") // RFC 9110 §7.8: a server may ignore it; tunnels of other protocols would bypass the peer
	}
	x := g.exchange(r)
	x.conn = conn
	fw := &hopWriter{out: w, x: x}
	g.proxy.ServeHTTP(fw, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
	if x.err != nil && !fw.committed {
		x.leaveBody(w)
		g.answerFailure(w, r, x.err)
	}
}

func (g *Gate) exchange(r *http.Request) *exchange {
	info := FromContext(r.Context())
	nonce := newID()
	return &exchange{nonce: nonce, http1: r.ProtoMajor == 1, facts: facts{
		Nonce:  nonce,
		Origin: g.cfg.ID,
		Via:    g.cfg.Node,
		ID:     info.ID,
		Client: r.RemoteAddr,
		Host:   r.Host,
		Scheme: info.Scheme,
		Expect: r.Header.Get("Expect") != "",
		TLS:    tlsFactsOf(r.TLS),
	}}
}

// answerFailure answers a request for which no peer's answer came.
func (g *Gate) answerFailure(w http.ResponseWriter, r *http.Request, err error) {
	var lost *lostError
	switch {
	case errors.Is(err, errNoPeer) && g.able.Load() && g.cfg.Role == cluster.Ordinary:
		g.serveLocal(w, r) // better by a node that is stopping than by none
	case errors.Is(err, errNoPeer) && !g.able.Load():
		ServeProblem(w, r, problemStarting)
	case errors.Is(err, errNoPeer):
		ServeProblem(w, r, problemNoPeer)
	case errors.Is(err, errBody):
		ServeProblem(w, r, problemBody)
	case r.Context().Err() != nil: // most often the client is gone, and nobody reads this
		ServeProblem(w, r, problemStopping)
	case errors.As(err, &lost):
		ServeProblem(w, r, problemLost)
	default:
		ServeProblem(w, r, problemPassing)
	}
	g.cfg.Logger.Debug("request not forwarded", "request", FromContext(r.Context()).ID, "err", err)
}

// buffers are reused for copying responses.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
