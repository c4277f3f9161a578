package forward

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

func proxied(prefixes ...string) *Gate {
	g := &Gate{}
	for _, p := range prefixes {
		g.cfg.TrustedProxies = append(g.cfg.TrustedProxies, netip.MustParsePrefix(p))
	}
	return g
}

const proxy, stranger = "10.0.0.1:99", "9.9.9.9:99" // of 10.0.0.0/8, and not

// arrivals are requests, and who their clients are.
var arrivals = []struct {
	name, from, header, client, scheme, id string
	left                                   string // names of headers that remain, beside ids
}{
	{"stranger", stranger,
		"X-Forwarded-For: 1.1.1.1|Forwarded: for=1.1.1.1|X-Real-Ip: 1.1.1.1|X-Forwarded-Proto: https|" +
			"X-Forwarded-Host: h|X-Forwarded-Port: 1|X-Forwarded-Prefix: /x|True-Client-Ip: 1.1.1.1|" +
			"Front-End-Https: on",
		stranger, "http", "", ""},
	{"proxy", proxy, "X-Forwarded-For: 1.1.1.1|X-Forwarded-Proto: https|X-Request-Id: abc-1",
		"1.1.1.1:0", "https", "abc-1", "X-Forwarded-For X-Forwarded-Proto"},
	{"what is for the application", proxy, "X-Forwarded-Host: h|X-Forwarded-Port: 1|X-Forwarded-Prefix: /x",
		proxy, "http", "", "X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix"},
	{"spoofed chain", proxy, "X-Forwarded-For: 6.6.6.6, 1.1.1.1",
		"1.1.1.1:0", "http", "", "X-Forwarded-For"},
	{"two proxies", proxy, "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.2",
		"1.1.1.1:0", "http", "", "X-Forwarded-For"},
	{"two lines", proxy, "X-Forwarded-For: 1.1.1.1|X-Forwarded-For: 10.0.0.2",
		"1.1.1.1:0", "http", "", "X-Forwarded-For"},
	{"empty elements", proxy, "X-Forwarded-For: ,1.1.1.1,,10.0.0.2, ",
		"1.1.1.1:0", "http", "", "X-Forwarded-For"},
	{"port", proxy, "X-Forwarded-For: 1.1.1.1:5", "1.1.1.1:5", "http", "", "X-Forwarded-For"},
	{"v6", proxy, "X-Forwarded-For: [2001:db8::1]:5", "[2001:db8::1]:5", "http", "", "X-Forwarded-For"},
	{"v6 in brackets", proxy, "X-Forwarded-For: [2001:db8::1]",
		"[2001:db8::1]:0", "http", "", "X-Forwarded-For"},
	{"v6 with a zone", proxy, "X-Forwarded-For: fe80::1%eth0",
		"[fe80::1]:0", "http", "", "X-Forwarded-For"},
	{"mapped", "[::ffff:10.0.0.1]:99", "X-Forwarded-For: ::ffff:1.1.1.1",
		"1.1.1.1:0", "http", "", "X-Forwarded-For"},
	{"the proxy itself", proxy, "X-Forwarded-For: 10.0.0.1", proxy, "http", "", "X-Forwarded-For"},
	{"garbage", proxy, "X-Forwarded-For: unknown", proxy, "http", "", "X-Forwarded-For"},
	{"garbage behind a proxy", proxy, "X-Forwarded-For: 6.6.6.6, x, 10.0.0.2",
		"10.0.0.2:0", "http", "", "X-Forwarded-For"},

	{"X-Real-Ip alone", proxy, "X-Real-Ip: 1.1.1.1|X-Forwarded-Proto: https",
		"1.1.1.1:0", "https", "", "X-Real-Ip X-Forwarded-Proto"},
	{"X-Real-Ip as the client wrote it", proxy, "X-Real-Ip: 6.6.6.6|X-Forwarded-For: 1.1.1.1",
		"1.1.1.1:0", "http", "", "X-Forwarded-For"},

	{"forwarded", proxy, `Forwarded: for=6.6.6.6, for="[2001:db8::1]:5";proto=https`,
		"[2001:db8::1]:5", "https", "", "Forwarded"},
	{"forwarded in several lines", proxy,
		"Forwarded: For=1.1.1.1; Proto=HTTPS ;by=_x|Forwarded: for=10.0.0.2;proto=http",
		"1.1.1.1:0", "https", "", "Forwarded"},
	{"forwarded with quoted delimiters", proxy,
		`Forwarded: for=1.1.1.1;host="a,for=6.6.6.6;\", for=7.7.7.7";proto=https`,
		"1.1.1.1:0", "https", "", "Forwarded"},
	{"forwarded and hidden", proxy, `Forwarded: for=6.6.6.6, for="_hidden:5";proto=https, for=10.0.0.2`,
		"10.0.0.2:0", "http", "", "Forwarded"},
	{"forwarded of unknown", proxy, `Forwarded: for=unknown;proto=https`,
		proxy, "https", "", "Forwarded"},
	{"forwarded without for", proxy, `Forwarded: proto=https`, proxy, "https", "", "Forwarded"},
	{"forwarded and not quoted", proxy, `Forwarded: for=1.1.1.1:5`, "1.1.1.1:5", "http", "", "Forwarded"},
	{"forwarded without an end", proxy, `Forwarded: for=6.6.6.6;proto=https, for="7.7.7.7`,
		proxy, "http", "", ""},
	{"forwarded twice in one", proxy, `Forwarded: for=6.6.6.6;for=7.7.7.7`, proxy, "http", "", ""},
	{"both", proxy, "Forwarded: for=6.6.6.6;proto=https|X-Forwarded-For: 1.1.1.1",
		"1.1.1.1:0", "http", "", "X-Forwarded-For"},

	{"alias", proxy,
		"X_forwarded_for: 6.6.6.6|X.real.ip: 6.6.6.6|Webfarm_hop: x|Webfarm-Hop: x|" +
			"X~forwarded~proto: https|True_client_ip: x",
		proxy, "http", "", ""},
	{"no alias", stranger, "X_color: 1|Under_score: 2", stranger, "http", "", "X_color Under_score"},
	{"bad id", proxy, "X-Request-Id: a b", proxy, "http", "", ""},
	{"two ids", proxy, "X-Request-Id: a|X-Request-Id: b", proxy, "http", "", ""},

	{"bad scheme", proxy, "X-Forwarded-Proto: javascript", proxy, "http", "", "X-Forwarded-Proto"},
	{"upper case and spaces", proxy, "X-Forwarded-Proto:  HTTPS\t",
		proxy, "https", "", "X-Forwarded-Proto"},
	{"wss", proxy, "X-Forwarded-Proto: wss", proxy, "https", "", "X-Forwarded-Proto"},
	{"ws", proxy, "X-Forwarded-Proto: WS", proxy, "http", "", "X-Forwarded-Proto"},
	{"appended scheme", proxy, "X-Forwarded-Proto: https, http", proxy, "http", "", "X-Forwarded-Proto"},
	{"a scheme for each proxy", proxy,
		"X-Forwarded-Proto: http,https , http|X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.2",
		"1.1.1.1:0", "https", "", "X-Forwarded-For X-Forwarded-Proto"},
	{"schemes in lines", proxy,
		"X-Forwarded-Proto: https|X-Forwarded-Proto: http|X-Forwarded-For: 1.1.1.1, 10.0.0.2",
		"1.1.1.1:0", "https", "", "X-Forwarded-For X-Forwarded-Proto"},
	{"one scheme, two proxies", proxy, "X-Forwarded-Proto: https|X-Forwarded-For: 1.1.1.1, 10.0.0.2",
		"1.1.1.1:0", "https", "", "X-Forwarded-For X-Forwarded-Proto"},
}

func TestArrive(t *testing.T) {
	const ids = "X-Request-Id Traceparent"
	for _, c := range arrivals {
		r := &http.Request{RemoteAddr: c.from, Header: make(http.Header)}
		for line := range strings.SplitSeq(c.header, "|") {
			k, v, _ := strings.Cut(line, ": ")
			r.Header[k] = append(r.Header[k], v)
		}
		i := proxied("10.0.0.0/8").arrived(r)
		id, scheme := i.ID, i.Scheme
		if r.RemoteAddr != c.client || scheme != c.scheme {
			t.Errorf("%s: client %s, scheme %s; want %s, %s", c.name, r.RemoteAddr, scheme, c.client, c.scheme)
		}
		lines := r.Header["X-Request-Id"]
		if c.id != "" && id != c.id || !validID(id) || !slices.Equal(lines, []string{id}) {
			t.Errorf("%s: id %q", c.name, id)
		}
		want := strings.Fields(c.left + " " + ids)
		for name := range r.Header {
			if !slices.Contains(want, name) {
				t.Errorf("%s: header %s is left", c.name, name)
			}
		}
		if len(r.Header) != len(want) {
			t.Errorf("%s: headers %v, want %s", c.name, r.Header, want)
		}
	}
}

// On a unix socket there is no address: who connects is trusted if that is said, and not otherwise.
func TestArrive_Unix(t *testing.T) {
	for _, from := range []string{"@", ""} {
		for _, trusted := range []bool{false, true} {
			local := &net.UnixAddr{Name: "/run/app.sock", Net: "unix"}
			ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(local))
			r := (&http.Request{RemoteAddr: from, Header: http.Header{
				"X-Forwarded-For": {"6.6.6.6, 1.1.1.1, 10.0.0.2, unix:"}, "X-Forwarded-Proto": {"https"}}}).WithContext(ctx)
			g := proxied("10.0.0.0/8")
			g.cfg.TrustUnix = trusted
			scheme := g.arrived(r).Scheme
			if trusted && (r.RemoteAddr != "1.1.1.1:0" || scheme != "https") {
				t.Errorf("from %q, trusted: %s, %s", from, r.RemoteAddr, scheme)
			}
			if !trusted && (r.RemoteAddr != from || scheme != "http" || r.Header["X-Forwarded-For"] != nil) {
				t.Errorf("from %q, not trusted: %s, %s, %v", from, r.RemoteAddr, scheme, r.Header)
			}
		}
	}
	g := proxied()
	g.cfg.TrustUnix = true
	r := &http.Request{RemoteAddr: "@", Header: http.Header{"X-Forwarded-For": {"1.1.1.1"}}}
	if g.arrived(r); r.RemoteAddr != "@" {
		t.Error("an address that looks like a unix socket's makes nobody trusted")
	}
}

// Through a real unix socket, as a proxy on the same machine connects.
func TestArrive_UnixSocket(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{TrustUnix: true}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.RemoteAddr+" "+FromContext(r.Context()).Scheme)
	}))
	a.gate.Admit()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		ci.Missingf(t, "unix sockets: %v", err)
	}
	srv := &http.Server{Handler: a.public.Config.Handler}
	go srv.Serve(l)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	req := request(t, "GET", "http://farm/", nil)
	req.Header.Set("X-Forwarded-For", "1.1.1.1")
	req.Header.Set("X-Forwarded-Proto", "wss")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); string(b) != "1.1.1.1:0 https" {
		t.Errorf("the handler sees %s", b)
	}
}

// What a proxy passes on of somebody whom it does not name is that somebody's word.
func TestArrive_Unnamed(t *testing.T) {
	r := &http.Request{RemoteAddr: "10.0.0.1:5", Header: http.Header{"X-Forwarded-For": {"6.6.6.6"}}}
	r = r.WithContext(Unnamed(t.Context()))
	proxied("10.0.0.0/8").arrived(r)
	if r.RemoteAddr != "10.0.0.1:5" || r.Header["X-Forwarded-For"] != nil {
		t.Errorf("%s, %v", r.RemoteAddr, r.Header)
	}
}

func TestForward_TLSFacts(t *testing.T) {
	var got *tls.ConnectionState
	var scheme string
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, scheme = r.TLS, FromContext(r.Context()).Scheme
	}))
	front := httptest.NewUnstartedServer(http.HandlerFunc(a.gate.serveClient))
	front.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	front.StartTLS()
	defer front.Close()
	client := front.Client()
	config := client.Transport.(*http.Transport).TLSClientConfig
	config.Certificates = []tls.Certificate{clientCert(t)}
	config.ServerName = "example.com"
	res, err := client.Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got == nil || got.Version != res.TLS.Version || got.CipherSuite != res.TLS.CipherSuite ||
		got.ServerName != "example.com" {
		t.Fatalf("TLS %+v, want %+v", got, res.TLS)
	}
	if len(got.PeerCertificates) != 1 || got.PeerCertificates[0].SerialNumber.Int64() != 42 || got.VerifiedChains != nil {
		t.Errorf("certificates %v, chains %v", got.PeerCertificates, got.VerifiedChains)
	}
	if scheme != "https" {
		t.Errorf("scheme %q", scheme)
	}
}

func clientCert(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(42)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func FuzzArrive(f *testing.F) {
	f.Add("10.0.0.1:1", "1.1.1.1, 10.0.0.2", `for="[::1]:5";proto=https`, "https", "id")
	f.Add("9.9.9.9:1", ",,,", ";;=;", "", "")
	g := proxied("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, from, xff, forwarded, proto, id string) {
		r := &http.Request{RemoteAddr: from, Header: http.Header{
			"X-Forwarded-For": {xff}, "Forwarded": {forwarded}, "X-Forwarded-Proto": {proto}, "X-Request-Id": {id},
		}}
		i := g.arrived(r)
		got, scheme, trace := i.ID, i.Scheme, i.Trace
		if !validID(got) || scheme != "http" && scheme != "https" || len(trace) != 32 {
			t.Errorf("id %q, scheme %q, trace %q", got, scheme, trace)
		}
		if peer, ok := remoteIP(from); !ok || !g.trusted(peer) {
			if r.RemoteAddr != from || len(r.Header) != 2 || got == id {
				t.Errorf("a stranger was believed: %v", r)
			}
		} else if _, err := netip.ParseAddrPort(r.RemoteAddr); err != nil {
			t.Errorf("RemoteAddr %q", r.RemoteAddr)
		}
	})
}

// What parseForwarded takes, it takes again when it is written down as the RFC wants it.
func FuzzForwarded(f *testing.F) {
	f.Add(`for=192.0.2.60;proto=http;by=203.0.113.43`)
	f.Add(`for="[2001:db8:cafe::17]:4711", for=_gazonk;host="a\"b,c", ;,`)
	f.Add(`for="unknown`)
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, line string) {
		all, ok := parseForwarded([]string{line})
		if !ok {
			return
		}
		var again []string
		for _, e := range all {
			again = append(again, `for="`+quote.Replace(e.from)+`";Proto="`+quote.Replace(e.proto)+`"`)
		}
		one, ok := parseForwarded([]string{strings.Join(again, ", ")})
		several, ok2 := parseForwarded(again)
		if !ok || !ok2 || !slices.Equal(one, all) || !slices.Equal(several, all) {
			t.Errorf("%q became %q and %q", all, one, several)
		}
		g := proxied("10.0.0.0/8")
		g.told(http.Header{"Forwarded": {line}})
	})
}

// arrived returns what arrive tells of r.
func (g *Gate) arrived(r *http.Request) Info {
	p := &pass{gate: g}
	g.arrive(r, p)
	return p.Info
}
