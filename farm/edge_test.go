package farm_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
