package forward

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func proxied(prefixes ...string) *Gate {
	g := &Gate{}
	for _, p := range prefixes {
		g.cfg.TrustedProxies = append(g.cfg.TrustedProxies, netip.MustParsePrefix(p))
	}
	return g
}

func TestArrive(t *testing.T) {
	const proxy, stranger = "10.0.0.1:99", "9.9.9.9:99"
	for _, c := range []struct {
		name, from, header, client, scheme, id string
		left                                   string // names of headers that remain
	}{
		{"stranger", stranger, "X-Forwarded-For: 1.1.1.1|Forwarded: for=1.1.1.1|X-Real-Ip: 1.1.1.1|X-Forwarded-Proto: https",
			stranger, "http", "", "X-Request-Id"},
		{"proxy", proxy, "X-Forwarded-For: 1.1.1.1|X-Forwarded-Proto: https|X-Request-Id: abc-1",
			"1.1.1.1:0", "https", "abc-1", "X-Forwarded-For X-Forwarded-Proto X-Request-Id"},
		{"spoofed chain", proxy, "X-Forwarded-For: 6.6.6.6, 1.1.1.1", "1.1.1.1:0", "http", "", "X-Forwarded-For X-Request-Id"},
		{"two proxies", proxy, "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1:0", "http", "", "X-Forwarded-For X-Request-Id"},
		{"two lines", proxy, "X-Forwarded-For: 1.1.1.1|X-Forwarded-For: 10.0.0.2", "1.1.1.1:0", "http", "", "X-Forwarded-For X-Request-Id"},
		{"port", proxy, "X-Forwarded-For: 1.1.1.1:5", "1.1.1.1:0", "http", "", "X-Forwarded-For X-Request-Id"},
		{"v6", proxy, "X-Forwarded-For: [2001:db8::1]:5", "[2001:db8::1]:0", "http", "", "X-Forwarded-For X-Request-Id"},
		{"mapped", "[::ffff:10.0.0.1]:99", "X-Forwarded-For: ::ffff:1.1.1.1", "1.1.1.1:0", "http", "", "X-Forwarded-For X-Request-Id"},
		{"garbage", proxy, "X-Forwarded-For: unknown", proxy, "http", "", "X-Forwarded-For X-Request-Id"},
		{"garbage behind a proxy", proxy, "X-Forwarded-For: 6.6.6.6, x, 10.0.0.2", "10.0.0.2:0", "http", "", "X-Forwarded-For X-Request-Id"},
		{"forwarded", proxy, `Forwarded: for=6.6.6.6, for="[2001:db8::1]:5";proto=https`, "[2001:db8::1]:0", "https", "", "Forwarded X-Request-Id"},
		{"both", proxy, "Forwarded: for=6.6.6.6;proto=https|X-Forwarded-For: 1.1.1.1", "1.1.1.1:0", "http", "", "X-Forwarded-For X-Request-Id"},
		{"alias", proxy, "X_forwarded_for: 6.6.6.6|X.real.ip: 6.6.6.6|Webfarm_hop: x|Webfarm-Hop: x", proxy, "http", "", "X-Request-Id"},
		{"bad id", proxy, "X-Request-Id: a b", proxy, "http", "", "X-Request-Id"},
		{"bad scheme", proxy, "X-Forwarded-Proto: javascript", proxy, "http", "", "X-Forwarded-Proto X-Request-Id"},
		{"appended scheme", proxy, "X-Forwarded-Proto: https, http", proxy, "http", "", "X-Forwarded-Proto X-Request-Id"},
	} {
		r := &http.Request{RemoteAddr: c.from, Header: make(http.Header)}
		for line := range strings.SplitSeq(c.header, "|") {
			k, v, _ := strings.Cut(line, ": ")
			r.Header[k] = append(r.Header[k], v)
		}
		id, scheme := proxied("10.0.0.0/8").arrive(r)
		if r.RemoteAddr != c.client || scheme != c.scheme {
			t.Errorf("%s: client %s, scheme %s; want %s, %s", c.name, r.RemoteAddr, scheme, c.client, c.scheme)
		}
		if c.id != "" && id != c.id || !validID(id) || r.Header.Get("X-Request-Id") != id {
			t.Errorf("%s: id %q", c.name, id)
		}
		for name := range r.Header {
			if !strings.Contains(" "+c.left+" ", " "+name+" ") {
				t.Errorf("%s: header %s is left", c.name, name)
			}
		}
		if len(r.Header) != len(strings.Fields(c.left)) {
			t.Errorf("%s: headers %v, want %s", c.name, r.Header, c.left)
		}
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
	if got == nil || got.Version != res.TLS.Version || got.CipherSuite != res.TLS.CipherSuite || got.ServerName != "example.com" {
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
		got, scheme := g.arrive(r)
		if !validID(got) || scheme != "http" && scheme != "https" {
			t.Errorf("id %q, scheme %q", got, scheme)
		}
		if peer, ok := remoteIP(from); !ok || !g.trusted(peer) {
			if r.RemoteAddr != from || len(r.Header) != 1 || got == id {
				t.Errorf("a stranger was believed: %v", r)
			}
		} else if _, err := netip.ParseAddrPort(r.RemoteAddr); err != nil {
			t.Errorf("RemoteAddr %q", r.RemoteAddr)
		}
	})
}

func FuzzTakeFacts(f *testing.F) {
	good, _ := (&facts{Nonce: "n", Origin: "o", ID: "i", TLS: &tlsFacts{Version: 1}}).header()
	f.Add(good)
	f.Add(`{"nonce":"n","origin":"o","id":"i","tls":{"chain":["AAAA"]}}`)
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{Header: http.Header{hopHeader: {line}}}
		got, err := takeFacts(r)
		if _, left := r.Header[hopHeader]; left {
			t.Error("the header is left")
		}
		if err != nil {
			return
		}
		again, err := got.header()
		if err != nil {
			t.Fatal(err)
		}
		twice, err := takeFacts(&http.Request{Header: http.Header{hopHeader: {again}}})
		if err != nil || !reflect.DeepEqual(got, twice) {
			t.Errorf("%+v became %+v, %v", got, twice, err)
		}
	})
}
