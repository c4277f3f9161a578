package farm_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm"
)

// alone returns the Config of a farm of one that is ready at once.
func alone(t *testing.T) farm.Config {
	return farm.Config{Name: "n1", Dir: t.TempDir(), Cluster: cluster.Config{Expect: 1}}
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// certificate returns one for servers of tests.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}
}

// whoami answers with what a handler sees of its client.
func whoami(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s %q", r.RemoteAddr, farm.Info(r.Context()).Scheme, r.Header["X-Forwarded-For"])
}

// What the PROXY protocol says of the client is what the handler sees, with TLS and without. What the requests say counts for
// as much as the client that it names, and for nothing if it names none.
func TestServe_ProxyProtocol(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		cfg := alone(t)
		cfg.ProxyProtocol, cfg.TrustedProxies = true, append(loopback, netip.MustParsePrefix("10.0.0.9/32"))
		if secure {
			cfg.Server = &http.Server{TLSConfig: certificate(t)}
		}
		f := serve(t, cfg, http.HandlerFunc(whoami)).ready()
		own := map[bool]string{false: "http", true: "https"}[secure]
		for header, want := range map[string]string{
			"PROXY TCP4 1.1.1.1 2.2.2.2 5 80\r\n":    "1.1.1.1:5 " + own + " []",
			"PROXY TCP6 2001:db8::1 ::2 5 80\r\n":    "[2001:db8::1]:5 " + own + " []",
			"PROXY TCP4 10.0.0.9 2.2.2.2 5 80\r\n":   `6.6.6.6:0 https ["6.6.6.6"]`,
			"PROXY UNKNOWN\r\n":                      "127.0.0.1:* " + own + " []",
			"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00": `6.6.6.6:0 https ["6.6.6.6"]`,
			"\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x00": "127.0.0.1:* " + own + " []",
			"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x01\x01\x01\x02\x02\x02\x02\x00\x05\x00\x50": "1.1.1.1:5 " + own + " []",
		} {
			got, mine, err := askWho(f.Addr(), header, secure)
			if want == "127.0.0.1:* "+own+" []" {
				want = mine + " " + own + " []"
			}
			if err != nil || got != want {
				t.Errorf("%q, TLS %v: %q, %v; want %q", header, secure, got, err, want)
			}
		}
		if got, _, err := askWho(f.Addr(), "", secure); err == nil {
			t.Errorf("without a header, TLS %v: %q", secure, got)
		}
	}
}

// askWho asks over a connection that begins with header, and returns the answer and the connection's own address.
func askWho(addr, header string, secure bool) (answer, own string, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	own = conn.LocalAddr().String()
	if _, err := io.WriteString(conn, header); err != nil {
		return "", own, err
	}
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", own, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), own, err
}

func TestServe_ProxyProtocolOfNobody(t *testing.T) {
	cfg := alone(t)
	cfg.ProxyProtocol = true
	if f, err := farm.Open(cfg); err == nil {
		f.Close()
		t.Error("a PROXY protocol that nobody may speak was accepted")
	}
}

// edgeLog is a log that counts.
type edgeLog struct {
	mu  sync.Mutex
	all []string
}

func (l *edgeLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

func (l *edgeLog) with(what string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, what) {
			found = append(found, line)
		}
	}
	return found
}

// Garbage on a port with TLS, however much, is one line, which says how much.
func TestServe_GarbageOnTLSPort(t *testing.T) {
	t.Parallel()
	const many = 500
	log := &edgeLog{}
	cfg := alone(t)
	cfg.Server = &http.Server{TLSConfig: certificate(t)}
	cfg.HTTP, cfg.Logger = "127.0.0.1:0", slog.New(slog.NewTextHandler(log, nil))
	f, err := farm.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Serve(ctx, http.NotFoundHandler()) }()
	began := time.Now()
	garbage := []string{"GET / HTTP/1.1\r\n\r\n", "", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x16\x03\x01\x00\x05hello", "SSH-2.0-x\r\n"}
	for i := range many {
		c, err := net.Dial("tcp", f.Addr())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, garbage[i%len(garbage)])
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(patience))
		io.Copy(io.Discard, c)
		c.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	total, said := 0, log.with("handshake")
	for _, line := range said {
		_, count, _ := strings.Cut(line, "count=")
		n := 0
		fmt.Sscan(count, &n)
		total += n
	}
	most := 2 + int(time.Since(began)/time.Minute) // more than one on a machine that takes more than five seconds
	if len(said) > most || total != many {
		t.Errorf("%d of %d in %d lines: %s", total, many, len(said), said)
	}
}

// HTTP/2 works on a public port with TLS, here and through a front, with many requests on one connection; without TLS there is
// none, by whatever way it is asked for.
func TestServe_HTTP2(t *testing.T) {
	t.Parallel()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-After")
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %s %s %v", len(body), farm.Info(r.Context()).Scheme, r.Host, err)
		w.Header().Set("X-After", "yes")
	})
	a := serve(t, func() farm.Config {
		cfg := alone(t)
		cfg.Server = &http.Server{TLSConfig: certificate(t)}
		return cfg
	}(), h).ready()
	front := serve(t, farm.Config{Name: "front", Dir: t.TempDir(), Role: cluster.Front, Join: []string{a.peer()},
		Server: &http.Server{TLSConfig: certificate(t)}}, h).ready()
	for where, addr := range map[string]string{"here": a.Addr(), "forwarded": front.Addr()} {
		tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer tr.CloseIdleConnections()
		c := &http.Client{Transport: tr, Timeout: patience}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				req, err := http.NewRequest("POST", "https://"+addr+"/", strings.NewReader(strings.Repeat("x", 200<<10)))
				if err != nil {
					t.Error(err)
					return
				}
				req.Host = "shop.example"
				res, err := c.Do(req)
				if err != nil {
					t.Errorf("%s: %v", where, err)
					return
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				if err != nil || res.ProtoMajor != 2 || string(b) != "204800 https shop.example <nil>" || res.Trailer.Get("X-After") != "yes" {
					t.Errorf("%s: HTTP/%d %q %v, trailer %v", where, res.ProtoMajor, b, err, res.Trailer)
				}
			})
		}
		wg.Wait()
	}
}

func TestServe_NoHTTP2WithoutTLS(t *testing.T) {
	t.Parallel()
	f := serve(t, alone(t), http.HandlerFunc(whoami)).ready()
	for asks, want := range map[string]string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00": "HTTP/1.1 505",
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" +
			"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n": "HTTP/1.1 200",
	} {
		conn, err := net.Dial("tcp", f.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, asks)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Errorf("%.20q: %q, %v", asks, got, err)
		}
	}
}
