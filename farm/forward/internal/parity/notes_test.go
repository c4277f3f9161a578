package parity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward"
)

// book is the application of all nodes. It knows by the client's address what is asked of it, so that the
// bytes of a case need not say it, and keeps what its handlers see.
type book struct {
	mu    sync.Mutex
	pages map[string]*notes // by the client's address; guarded by mu
}

// notes are about one connection of a client.
type notes struct {
	client string
	do     handler
	cut    chan struct{} // closed when the client has closed its end, or has given up

	mu      sync.Mutex
	runs    []*run        // guarded by mu
	running int           // guarded by mu
	idle    chan struct{} // closed and replaced when running falls to 0; guarded by mu
}

// run is one call of a handler.
type run struct {
	of   *notes
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

// handler answers a request and notes what it sees.
type handler func(w http.ResponseWriter, r *http.Request, see *run)

// open begins a page for a client that connects from addr. It returns nil if there is one for another client,
// which connects from there to another server.
func (b *book) open(addr string, do handler) *notes {
	n := &notes{client: addr, do: do, cut: make(chan struct{}), idle: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pages[addr] != nil {
		return nil
	}
	b.pages[addr] = n
	return n
}

func (b *book) forget(n *notes) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pages, n.client)
}

func (b *book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	info := forward.FromContext(r.Context())
	b.mu.Lock()
	n := b.pages[r.RemoteAddr]
	b.mu.Unlock()
	if n == nil {
		w.Header().Set("Ran-On", info.Node)
		return
	}
	see := n.begin()
	defer n.end()
	if forwarded := info.Node == "SERVING"; info.Forwarded() != forwarded {
		see.note("info says %+v", info)
	}
	see.request(r)
	n.do(w, r, see)
}

func (n *notes) begin() *run {
	n.mu.Lock()
	defer n.mu.Unlock()
	see := &run{of: n}
	n.runs = append(n.runs, see)
	n.running++
	return see
}

func (n *notes) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running--; n.running == 0 {
		close(n.idle)
		n.idle = make(chan struct{})
	}
}

// read waits for the handlers that run and returns what was noted.
func (n *notes) read(sorted bool) string {
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	for {
		n.mu.Lock()
		running, idle := n.running, n.idle
		n.mu.Unlock()
		if running == 0 {
			break
		}
		select {
		case <-idle:
		case <-end.C:
			return "a handler has not returned\n"
		}
	}
	var all []string
	for _, r := range n.runs {
		all = append(all, r.text.String())
	}
	if sorted {
		slices.Sort(all)
	}
	return strings.Join(all, "--\n")
}

// note writes a line. Addresses and the request's id are not the same on two ways.
func (s *run) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.WriteString(short(fmt.Sprintf(format, args...)) + "\n")
}

// request notes all that a handler can see of a request without reading from its body.
func (s *run) request(r *http.Request) {
	s.note("method %q host %q", r.Method, r.Host)
	s.note("proto %s %d %d", r.Proto, r.ProtoMajor, r.ProtoMinor)
	s.note("close %v", r.Close)
	s.note("target %q", r.RequestURI)
	u := r.URL
	s.note("url scheme %q opaque %q user %v host %q path %q raw %q query %q force %v fragment %q omit %v",
		u.Scheme, u.Opaque, u.User,
		u.Host, u.Path, u.RawPath, u.RawQuery, u.ForceQuery, u.Fragment, u.OmitHost)
	s.note("length %d encoding %q body %v trailer %s", r.ContentLength, r.TransferEncoding, bodyKind(r),
		fields(r.Trailer))
	s.note("from the client %v, scheme %s, tls %s", r.RemoteAddr == s.of.client,
		forward.FromContext(r.Context()).Scheme, connection(r.TLS))
	if ids := r.Header["X-Request-Id"]; len(ids) != 1 || ids[0] != forward.FromContext(r.Context()).ID {
		s.note("request ids %q", ids)
	}
	s.note("context %s", contextFacts(r.Context()))
	s.note("connection %q", r.Header["Connection"])
	s.note("header %s", fields(r.Header))
}

// clientTrace is what a client's traceparent may begin with. Another one is made up for each request.
const clientTrace = "00-0af7651916cd43dd8448eb211c80319c-"

func trace(values []string) string {
	return fmt.Sprint(len(values), " of the client ", strings.HasPrefix(values[0], clientTrace))
}

func bodyKind(r *http.Request) string {
	switch {
	case r.Body == nil:
		return "nil"
	case r.Body == http.NoBody, r.ProtoMajor == 2 && r.ContentLength == 0: // HTTP/2 has an empty one of its own
		return "none"
	}
	return "some"
}

// fields writes a header in the order of its names. Long values are cut short.
func fields(h http.Header) string {
	if h == nil {
		return "nil"
	}
	var all []string
	for name, values := range h {
		if name == "X-Request-Id" || name == "Connection" {
			continue // see request
		}
		text := fmt.Sprintf("%q", values)
		switch {
		case values == nil:
			text = "nil"
		case name == "Traceparent":
			text = trace(values)
		}
		all = append(all, fmt.Sprintf("%q=%s", name, short(text)))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// short tells long texts apart without printing them.
func short(s string) string {
	if len(s) <= 600 {
		return s
	}
	sum := uint32(0)
	for i := range len(s) {
		sum = sum*31 + uint32(s[i])
	}
	return fmt.Sprintf("%s...%s (%d bytes, sum %x)", s[:200], s[len(s)-100:], len(s), sum)
}

func connection(s *tls.ConnectionState) string {
	if s == nil {
		return "none"
	}
	return fmt.Sprintf("%s %s %s done %v resumed %v protocol %q name %q certificates %d chains %d",
		tls.VersionName(s.Version),
		tls.CipherSuiteName(s.CipherSuite), s.CurveID, s.HandshakeComplete, s.DidResume, s.NegotiatedProtocol,
		s.ServerName,
		len(s.PeerCertificates), len(s.VerifiedChains))
}

func contextFacts(ctx context.Context) string {
	_, deadline := ctx.Deadline()
	return fmt.Sprintf("server %v address %v deadline %v", ctx.Value(http.ServerContextKey) != nil,
		ctx.Value(http.LocalAddrContextKey) != nil, deadline)
}

// body reads the body to its end and notes it with the trailer.
func (s *run) body(r *http.Request) []byte {
	b, err := io.ReadAll(r.Body)
	s.note("body %s %s trailer %s", short(fmt.Sprintf("%q", b)), failure(err), fields(r.Trailer))
	return b
}

// wrote notes what became of a write.
func (s *run) wrote(n int, err error) { s.note("wrote %d %s", n, failure(err)) }

// known are the errors by which handlers decide what to do.
var known = []error{io.EOF, io.ErrUnexpectedEOF, http.ErrBodyNotAllowed, http.ErrContentLength,
	http.ErrHijacked,
	http.ErrAbortHandler, http.ErrBodyReadAfterClose, http.ErrHandlerTimeout, http.ErrNotSupported,
	http.ErrNotMultipart,
	http.ErrMissingBoundary, http.ErrNoCookie, os.ErrDeadlineExceeded, context.Canceled,
	context.DeadlineExceeded}

// failure names an error as handlers can tell it from others. Texts of the network have addresses in them.
func failure(err error) string {
	if err == nil {
		return "ok"
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fmt.Sprint("more than ", tooLarge.Limit)
	}
	for _, k := range known {
		if errors.Is(err, k) {
			return k.Error()
		}
	}
	return err.Error()
}
