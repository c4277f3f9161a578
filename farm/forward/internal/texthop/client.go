package texthop

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
)

const (
	dialTimeout = 3 * time.Second
	bodyWait    = time.Minute // for the peer to ask for a body or refuse it; then it is sent to this peer
)

var (
	errRefused  = errors.New("refused, not started")
	errPeerGone = errors.New("the peer left or died")
)

// Config says how a Client works.
type Config struct {
	Dial func(ctx context.Context) (net.Conn, error) // connects to the peer

	// Take and Give ask for room for one more connection, and give it back; few says that this peer has few.
	// With nil there is always room.
	Take func(few bool) bool
	Give func()

	Logger *slog.Logger
}

// Client sends requests to one peer.
type Client struct {
	transport *http.Transport // makes connections; pools and retries are our own
	proxy     *httputil.ReverseProxy
	pool      *pool
	dials     sync.WaitGroup // of those under way
}

// NewClient returns the connections with one peer; the first request dials.
func NewClient(cfg Config) *Client {
	c := &Client{}
	c.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialLink(ctx, cfg.Dial)
		},
		DisableCompression:     true, // answers pass as they are
		ExpectContinueTimeout:  bodyWait,
		MaxResponseHeaderBytes: 16 << 20,
		WriteBufferSize:        32 << 10,
		ReadBufferSize:         32 << 10,
	}
	c.pool = newPool(c.transport, &c.dials, cfg.Take, cfg.Give)
	c.proxy = &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     c,
		FlushInterval: -1, // streams are passed on as they come
		BufferPool:    &buffers{},
		ErrorLog:      errorLog(cfg.Logger),
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			exchangeOf(r).out.Err = err
		},
	}
	return c
}

// Close cuts every connection, and waits for dials.
func (c *Client) Close() {
	c.pool.close()
	c.dials.Wait()
}

// exchange is one public request on its way to a peer.
type exchange struct {
	*lane.Attempt
	facts facts
	nonce string
	conn  string  // the client's connection, where it is known
	body  *replay // nil without a body
	out   lane.Outcome
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
	if a, err := netip.ParseAddrPort(x.facts.Client); err == nil {
		o.client = a.Addr().Unmap().String()
		if a.Addr().Unmap().Is6() {
			o.client = netip.PrefixFrom(a.Addr(), 64).Masked().String()
		}
	}
	return o
}

// Do sends the request to the peer, and writes what it answers to w. It is what lane.Client.Do is.
func (c *Client) Do(w http.ResponseWriter, r *http.Request, a *lane.Attempt) (out lane.Outcome) {
	nonce := rand.Text()
	x := &exchange{Attempt: a, nonce: nonce, conn: r.RemoteAddr, facts: facts{
		Nonce: nonce, Origin: a.Facts.Origin, Via: a.Facts.Via, ID: a.Facts.ID, Client: r.RemoteAddr, Host: r.Host,
		Scheme: a.Facts.Scheme, Expect: r.Header.Get("Expect") != "", TLS: tlsFactsOf(r.TLS),
	}}
	fw := &hopWriter{out: w, x: x}
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			x.out.Err = http.ErrAbortHandler
		}
		if fw.committed {
			x.out.State = attempt.Committed
		}
		x.out.GaveUp = x.out.Err != nil && r.Context().Err() != nil
		x.out.BodyFailed = x.out.Err != nil && a.Upload.Failed() != nil
		out = x.out
	}()
	in := r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	in.Header = r.Header.Clone()
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		// RFC 9110, section 7.8: a server may ignore it. Tunnels of other protocols would bypass the peer.
		in.Header.Del("Upgrade")
	}
	in.Body = a.Upload.Reader()
	c.proxy.ServeHTTP(fw, in)
	return out
}

// rewrite turns a client's request into the one sent to a peer.
func rewrite(p *httputil.ProxyRequest) {
	x := exchangeOf(p.In)
	p.Out.URL.Scheme = "http"
	p.Out.URL.Host = "peer"
	p.Out.Host = "peer" // the client's is among the facts, since not every one can be sent as a header
	setTarget(p.Out.URL, p.In.URL)
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

// RoundTrip makes the attempt. It is for the reverse proxy.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	x := exchangeOf(req)
	if x.body != nil {
		req = req.WithContext(req.Context())
		req.Body = x.body.view()
	}
	res, started, err := c.roundTrip(req, x.nonce)
	switch {
	case err == nil:
		x.out.State, x.out.Status = attempt.Answered, res.StatusCode
	case errors.Is(err, errRefused):
		x.out.State, x.out.Refusal = attempt.Refused, lane.Refusal{Reason: "refused"}
	case started:
		x.out.State = attempt.Sent
	}
	if err != nil && x.body != nil {
		x.body.revoke()
	}
	return res, err
}

// roundTrip makes one attempt. With an error, started says whether the peer may have begun with the request.
func (c *Client) roundTrip(req *http.Request, nonce string) (res *http.Response, started bool, err error) {
	l, err := c.pool.get(req.Context(), originOf(req))
	if err != nil {
		return nil, false, err
	}
	before := l.wire.mark()
	res, err = l.RoundTrip(req)
	if err != nil {
		l.Close()
		c.pool.put(l, req.Context().Err() != nil)
		return nil, l.wire.wroteSince(before), err
	}
	if res.Header.Get(refusedHeader) == nonce {
		l.Close() // its body was asked for or not; a new connection is the simple way to be sure
		c.pool.put(l, false)
		res.Body.Close()
		return nil, false, errRefused
	}
	res.Header.Del(refusedHeader)
	if res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &tunnel{ReadWriteCloser: res.Body.(io.ReadWriteCloser), done: func() {
			l.Close()
			c.pool.put(l, true)
		}}
		return res, true, nil
	}
	blame := !res.Close || req.Body != nil // a peer may end its connections for reasons of its own
	res.Body = &answer{ReadCloser: res.Body, done: func() { c.pool.put(l, blame) }}
	return res, true, nil
}

// answer tells when a response's body was closed.
type answer struct {
	io.ReadCloser
	once sync.Once
	done func()
}

func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	a.once.Do(a.done)
	return err
}

// tunnel is the same for a connection that switched protocols.
type tunnel struct {
	io.ReadWriteCloser
	once sync.Once
	done func()
}

func (t *tunnel) Close() error {
	err := t.ReadWriteCloser.Close()
	t.once.Do(t.done)
	return err
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

// errorLog takes what net/http has to say: about panics of handlers, above all.
func errorLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelWarn) }
