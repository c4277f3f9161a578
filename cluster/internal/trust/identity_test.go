package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

func newIdentity(t *testing.T, tr *Trust, node string) *Identity {
	t.Helper()
	id, err := tr.Identity(node)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// handshake runs client and server against each other and lets each side send a byte, since a TLS 1.3 client
// learns of the server's refusal only with what it reads.
func handshake(t *testing.T, client, server *tls.Config) (cs, ss tls.ConnectionState, cerr, serr error) {
	t.Helper()
	return handshakeOver(t, client, server, socketPair)
}

func handshakeOver(t *testing.T, client, server *tls.Config,
	pair func(*testing.T) (net.Conn, net.Conn)) (cs, ss tls.ConnectionState, cerr, serr error) {
	t.Helper()
	a, b := pair(t)
	a.SetDeadline(time.Now().Add(time.Minute))
	b.SetDeadline(time.Now().Add(time.Minute))
	c, s := tls.Client(a, client), tls.Server(b, server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		if serr = s.Handshake(); serr == nil {
			_, serr = s.Write([]byte{1})
		}
	}()
	cerr = c.Handshake()
	if cerr == nil {
		_, cerr = c.Read(make([]byte, 1))
	}
	a.Close()
	<-done
	return c.ConnectionState(), s.ConnectionState(), cerr, serr
}

// socketPair connects over loopback. A net.Pipe does not do: it has no buffer, and two ends that refuse each
// other at the same time would wait for one another.
func socketPair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func pipe(*testing.T) (net.Conn, net.Conn) { return net.Pipe() }

func TestHandshakeNamesBothEnds(t *testing.T) {
	for _, c := range []struct{ farm, a, b string }{
		{"shop", "n1", "n2"},
		{"Ümläut farm/€ %2f", "a/b?c#d", "../node/x y"},
		{"a.b:80", "N1", "n1"},
	} {
		tr := newTrust(t, c.farm, testSecret)
		a, b := newIdentity(t, tr, c.a), newIdentity(t, newTrust(t, c.farm, testSecret), c.b)
		cs, ss, cerr, serr := handshake(t, a.Client("raft", c.b), b.Server("rpc", "raft"))
		if cerr != nil || serr != nil {
			t.Fatalf("%q: client %v, server %v", c.farm, cerr, serr)
		}
		if id, err := PeerID(cs); id != c.b || err != nil {
			t.Errorf("client sees %q, %v; want %q", id, err, c.b)
		}
		if id, err := PeerID(ss); id != c.a || err != nil {
			t.Errorf("server sees %q, %v; want %q", id, err, c.a)
		}
		if cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != "raft" || cs.DidResume {
			t.Errorf("version %x, protocol %q, resumed %v", cs.Version, cs.NegotiatedProtocol, cs.DidResume)
		}
	}
}

func TestAnyNodeOfTheFarm(t *testing.T) {
	tr := newTrust(t, "shop", testSecret)
	_, _, cerr, serr := handshake(t, newIdentity(t, tr, "n1").Client("rpc", ""),
		newIdentity(t, tr, "n2").Server("rpc"))
	if cerr != nil || serr != nil {
		t.Fatalf("client %v, server %v", cerr, serr)
	}
}

func TestHandshakeWithoutSecrets(t *testing.T) {
	a, b := newIdentity(t, newTrust(t, "shop"), "n1"), newIdentity(t, newTrust(t, "shop"), "n2")
	if _, _, cerr, serr := handshake(t, a.Client("rpc", "n2"), b.Server("rpc")); cerr != nil || serr != nil {
		t.Fatalf("client %v, server %v", cerr, serr)
	}
}

// Rotation is three rolling restarts; nodes of neighbouring steps must talk to each other, either way.
func TestRotation(t *testing.T) {
	old, new := NewSecret(), NewSecret()
	steps := [][]string{{old}, {old, new}, {new, old}, {new}}
	for i, x := range steps {
		for j, y := range steps {
			a, b := newIdentity(t, newTrust(t, "shop", x...), "a"),
				newIdentity(t, newTrust(t, "shop", y...), "b")
			_, _, cerr, serr := handshake(t, a.Client("rpc", "b"), b.Server("rpc"))
			ok := cerr == nil && serr == nil
			if near := max(i-j, j-i) <= 1; ok != near {
				t.Errorf("step %d to step %d: client %v, server %v", i, j, cerr, serr)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	tr := newTrust(t, "shop", testSecret)
	me, you := newIdentity(t, tr, "n1"), newIdentity(t, tr, "n2")
	otherSecret := newIdentity(t, newTrust(t, "shop", NewSecret()), "n2")
	otherFarm := newIdentity(t, newTrust(t, "depot", testSecret), "n2")
	stranger := newIdentity(t, newTrust(t, "depot", NewSecret()), "n2")
	noSecret := newIdentity(t, newTrust(t, "shop"), "n2")

	for name, c := range map[string]struct {
		client, server *tls.Config
		cerr, serr     error // wrapped; nil = any
		text           string
	}{
		"other secret":    {me.Client("rpc", "n2"), otherSecret.Server("rpc"), ErrWrongSecret, nil, ""},
		"no secret":       {me.Client("rpc", "n2"), noSecret.Server("rpc"), ErrWrongSecret, nil, ""},
		"other farm":      {me.Client("rpc", "n2"), otherFarm.Server("rpc"), ErrOtherName, nil, `"depot"`},
		"says other farm": {me.Client("rpc", "n2"), stranger.Server("rpc"), ErrWrongFarm, nil, `"depot"`},
		"other node":      {me.Client("rpc", "n3"), you.Server("rpc"), ErrWrongNode, nil, `"n2", not "n3"`},
		"client other secret": {careless(otherSecret.Client("rpc", "")), me.Server("rpc"), nil,
			ErrWrongSecret, ""},
		"client other farm": {careless(otherFarm.Client("rpc", "")), me.Server("rpc"), nil, ErrWrongFarm,
			`"depot"`},
		"client no cert": {bare(me.Client("rpc", "")), you.Server("rpc"), nil, nil, "certificate"},
		"other protocol": {me.Client("gossip", "n2"), you.Server("rpc"), nil, nil, "protocol"},
		"no protocol":    {noALPN(me.Client("rpc", "n2")), you.Server("rpc"), nil, nil, "protocol"},
		"TLS 1.2":        {tls12(me.Client("rpc", "n2")), you.Server("rpc"), nil, nil, "version"},
		"web server":     {me.Client("rpc", ""), selfSigned(t), ErrNotPeer, nil, ""},
	} {
		_, _, cerr, serr := handshake(t, c.client, c.server)
		if cerr == nil {
			t.Errorf("%s: the client was content", name)
		}
		if c.cerr != nil && !errors.Is(cerr, c.cerr) {
			t.Errorf("%s: client error %v, want %v", name, cerr, c.cerr)
		}
		if name == "says other farm" && errors.Is(cerr, ErrOtherName) {
			t.Errorf("%s: anybody could say that: %v", name, cerr)
		}
		if serr == nil || c.serr != nil && !errors.Is(serr, c.serr) {
			t.Errorf("%s: server error %v, want %v", name, serr, c.serr)
		}
		if both := errors.Join(cerr, serr).Error(); !strings.Contains(both, c.text) {
			t.Errorf("%s: %q does not say %q", name, both, c.text)
		}
	}
}

// A node's certificate must not be able to vouch for others, and none but a node's is good enough.
func TestNodeIsNoAuthority(t *testing.T) {
	tr := newTrust(t, "shop", testSecret)
	node := newIdentity(t, tr, "n1")
	cert, err := x509.ParseCertificate(node.cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign != 0 {
		t.Error("a node's certificate may sign others")
	}
	authority := tls.ConnectionState{PeerCertificates: []*x509.Certificate{tr.signer.cert}}
	if err := tr.verify(authority, "", x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("the authority's own certificate was taken for a node's")
	}
}

func TestClocksDoNotMatter(t *testing.T) {
	tr := newTrust(t, "shop", testSecret)
	for _, year := range []int{1970, 2026, 2100} {
		clock := func() time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
		client, server := newIdentity(t, tr, "n1").Client("rpc", "n2"), newIdentity(t, tr, "n2").Server("rpc")
		client.Time, server.Time = clock, clock
		if _, _, cerr, serr := handshake(t, client, server); cerr != nil || serr != nil {
			t.Errorf("in %d: client %v, server %v", year, cerr, serr)
		}
	}
}

func TestHandshakeInBubble(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		tr := newTrust(t, "shop", testSecret)
		a, b := newIdentity(t, tr, "n1"), newIdentity(t, tr, "n2")
		_, _, cerr, serr := handshakeOver(t, a.Client("rpc", "n2"), b.Server("rpc"), pipe)
		if cerr != nil || serr != nil {
			t.Errorf("client %v, server %v", cerr, serr)
		}
	})
}

func TestPeerIDOfNobody(t *testing.T) {
	if id, err := PeerID(tls.ConnectionState{}); id != "" || !errors.Is(err, ErrNotPeer) {
		t.Errorf("got %q, %v", id, err)
	}
}

// careless is a client that takes any server, so that the server's own check is what is tested.
func careless(cfg *tls.Config) *tls.Config {
	cfg.VerifyConnection = nil
	return cfg
}

func bare(cfg *tls.Config) *tls.Config {
	cfg.Certificates = nil
	return cfg
}

func noALPN(cfg *tls.Config) *tls.Config {
	cfg.NextProtos = nil
	return careless(cfg)
}

func tls12(cfg *tls.Config) *tls.Config {
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	return cfg
}

// selfSigned is some web server: its certificate names no node.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	id := newIdentity(t, newTrust(t, "web"), "web")
	ca := id.trust.signer
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key}},
		NextProtos:   []string{"rpc"},
	}
}
