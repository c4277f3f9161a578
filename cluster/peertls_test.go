package cluster

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// authority is an operator's own.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  ed25519.PrivateKey
	pool *x509.CertPool

	mu     sync.Mutex
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1),
		Subject:   pkix.Name{CommonName: "Example Internal CA"},
		NotBefore: time.Now().Add(-240 * time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, cert: cert, key: key, pool: x509.NewCertPool(), serial: 1}
	a.pool.AddCert(cert)
	return a
}

// request is what a certificate shall say.
type request struct {
	uri           string
	before, after time.Time
	usages        []x509.ExtKeyUsage
}

func (a *authority) request(farm, node string) request {
	return request{uri: "webfarm://peer/" + farm + "/node/" + node, before: time.Now().Add(-time.Hour),
		after:  time.Now().Add(time.Hour),
		usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
}

func (a *authority) sign(r request) tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.serial++
	template := &x509.Certificate{SerialNumber: big.NewInt(a.serial), NotBefore: r.before, NotAfter: r.after,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: r.usages,
		DNSNames: []string{"machine.example.com"}}
	if r.uri != "" {
		u, err := url.Parse(r.uri)
		if err != nil {
			a.t.Fatal(err)
		}
		template.URIs = []*url.URL{u}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// node returns what the node of that ID sets as PeerTLS.
func (a *authority) node(id string) *tls.Config {
	return a.config(a.request("webfarm", id))
}

func (a *authority) config(r request) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.sign(r)}, RootCAs: a.pool}
}

// Two nodes whose certificates come from the operator's authority form a farm. Their NodeIDs are those in the
// certificates.
// Slow: real certificates, and nodes that turn each other away.
func TestPeerTLS(t *testing.T) {
	inRealTime(t)
	ca := newAuthority(t)
	dir := t.TempDir()
	a := openTest(t, Config{Dir: dir, PeerTLS: ca.node("a")})
	ready(t, a)
	b := openTest(t, Config{Dir: t.TempDir(), PeerTLS: ca.node("b"), Join: []string{a.Addr()}})
	ready(t, b)
	propose(t, b, "append x 1")
	if s := b.State(); s.Self != "b" || len(s.Members) != 2 || s.Members[0].ID != "a" ||
		s.Members[0].Name != "a" {
		t.Errorf("b is %q and sees %+v", s.Self, s.Members)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	// by a renewed certificate
	a = openTest(t, Config{Dir: dir, PeerTLS: ca.node("a"), Join: []string{b.Addr()}})
	ready(t, a)
	propose(t, a, "append x 2")
	if got := local(a, "x"); got != "1,2," {
		t.Errorf("x = %q", got)
	}
}

// Every other certificate is turned away, also a good one of the same authority for something else. Both
// sides say why.
// Slow: real certificates, and nodes that turn each other away.
func TestPeerTLSRefusals(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	expired := ca.request("webfarm", "z")
	expired.after = time.Now().Add(-time.Minute)
	var shown atomic.Pointer[tls.Certificate]
	good := ca.sign(ca.request("webfarm", "z"))
	forgotten := &tls.Config{RootCAs: ca.pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return shown.Load(), nil
		}}
	for name, c := range map[string]struct {
		conf Config
		want error  // at the one who dials, if the other side is what displeases it
		says string // in the log of the one who is called
	}{
		"foreign authority": {Config{PeerTLS: newAuthority(t).node("z")}, trust.ErrWrongAuthority, "PeerTLS"},
		"no PeerTLS":        {Config{}, trust.ErrWrongSecret, "PeerTLS"},
		"expired":           {Config{PeerTLS: forgotten}, nil, "is valid from"},
		"clock far off":     {Config{PeerTLS: living(ca, "z", 48*time.Hour)}, trust.ErrExpired, "PeerTLS"},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(notes)
			first, err := Open(t.Context(),
				Config{Dir: t.TempDir(), Expect: 1, PeerTLS: ca.node("a"), Machines: kvAnd(),
					Logger: log.logger()})
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			ready(t, first)
			c.conf.Name = "z"
			shown.Store(&good)
			z := openTest(t, c.conf)
			late := ca.sign(expired) // it expires while z runs
			shown.Store(&late)
			conn, err := z.port.Dial(within(t, 10*time.Second), first.Addr(), protoRPC, "")
			if err == nil {
				conn.Close()
				t.Fatal("let in")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("the caller is told %v, want %v", err, c.want)
			}
			waitFor(t, "the called node's log gives the reason",
				func() bool { return strings.Contains(log.String(), c.says) })
		})
	}
}

// living returns the configuration of a machine whose clock is off by skew, and whose certificate is good for
// an hour around that time.
func living(ca *authority, node string, skew time.Duration) *tls.Config {
	r := ca.request("webfarm", node)
	r.before, r.after = r.before.Add(skew), r.after.Add(skew)
	c := ca.config(r)
	c.Time = func() time.Time { return time.Now().Add(skew) }
	return c
}

// A member cannot pass for another one, neither by what it says nor by where it listens.
// Slow: real certificates, and nodes that turn each other away.
func TestPeerTLSImpersonation(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	a := openTest(t, Config{PeerTLS: ca.node("a")})
	ready(t, a)
	b := openTest(t, Config{PeerTLS: ca.node("b"), Join: []string{a.Addr()}})
	ready(t, b)
	for _, proto := range []string{protoRPC, protoRaft} {
		c, err := b.port.Dial(within(t, 10*time.Second), a.Addr(), proto, "a")
		if err != nil {
			t.Fatal(err)
		}
		lie := b.self()
		lie.server = "c.0123"
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if err := wire.WriteHello(c, lie.hello(wire.Code(lie.speaks), a.instance().server)); err != nil {
			t.Fatal(err)
		}
		if ack, err := wire.ReadHello(c); err != nil || ack.Code != wire.CodeNotMe {
			t.Errorf("%s: b says that it is c, and is answered %v, %v", proto, ack.Code.Err(), err)
		}
		c.Close()
	}
	if c, err := b.port.Dial(within(t, 10*time.Second), a.Addr(), protoRPC,
		"c"); !errors.Is(err, trust.ErrWrongNode) {
		if err == nil {
			c.Close()
		}
		t.Errorf("a where c is wanted: %v, want ErrWrongNode", err)
	}
}

// What cannot work is found out when the node is opened, in words that say what to do.
func TestPeerTLSIsChecked(t *testing.T) {
	ca := newAuthority(t)
	with := func(change func(*tls.Config)) *tls.Config {
		c := ca.node("a")
		change(c)
		return c
	}
	asked := func(change func(*request)) *tls.Config {
		r := ca.request("webfarm", "a")
		change(&r)
		return ca.config(r)
	}
	for want, c := range map[string]*tls.Config{
		"there is no certificate":          with(func(c *tls.Config) { c.Certificates = nil }),
		"set RootCAs or ClientCAs":         with(func(c *tls.Config) { c.RootCAs = nil }),
		"InsecureSkipVerify":               with(func(c *tls.Config) { c.InsecureSkipVerify = true }),
		"NextProtos must be empty":         with(func(c *tls.Config) { c.NextProtos = []string{"h2"} }),
		"TLS 1.3":                          with(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
		"ClientAuth":                       with(func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }),
		"an authority that is not trusted": with(func(c *tls.Config) { c.RootCAs = newAuthority(t).pool }),
		"webfarm://peer/webfarm/node/ID":   asked(func(r *request) { r.uri = "" }),
		`for a node of farm "depot"`:       asked(func(r *request) { r.uri = "webfarm://peer/depot/node/a" }),
		"letters, " +
			"digits": asked(func(r *request) { r.uri = "webfarm://peer/webfarm/node/a.example.com" }),
		"renew it, or set the " +
			"clock": asked(func(r *request) { r.after = time.Now().Add(-time.Minute) }),
		"server and client authentication": asked(func(r *request) { r.usages = r.usages[:1] }),
	} {
		n, err := Open(t.Context(), Config{PeerTLS: c, Logger: testLogger()})
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "PeerTLS") {
			t.Errorf("%v; it does not say PeerTLS and %q", err, want)
		}
	}
}

// A directory that was made under a NodeID of its own cannot become another node's.
func TestPeerTLSAndAnotherNodesDirectory(t *testing.T) {
	dir := t.TempDir()
	n, err := Open(t.Context(), Config{Dir: dir, Logger: testLogger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err = Open(t.Context(), Config{Dir: dir, PeerTLS: newAuthority(t).node("a"),
		Logger: testLogger()}); err == nil {
		n.Close()
		t.Fatal("it was taken over")
	}
	if !strings.Contains(err.Error(), "empty directory") {
		t.Error(err)
	}
}
