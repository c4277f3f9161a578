package farm_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// fronted is a farm of three nodes and two fronts, with visitors who come by one of the fronts.
func fronted(configure func(n *farmtest.Node, c *farm.Config)) farmtest.Config {
	return farmtest.Config{Nodes: 5, Durable: true, Handler: simApp, Configure: func(n *farmtest.Node, c *farm.Config) {
		if n.Name() == "n4" || n.Name() == "n5" {
			c.Role = cluster.Front
		}
		configure(n, c)
	}}
}

// doorway is the front by which visitors come.
type doorway struct {
	t    *testing.T
	farm *farmtest.Farm
	stop chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex
	left   *sync.Cond             // of mu: somebody has left
	front  *farmtest.Node         // guarded by mu
	inside map[*farmtest.Node]int // visits under way by each front; guarded by mu
	visits int                    // guarded by mu
}

// begin has visitors come, each of whom writes in a session. No request may fail.
func begin(t *testing.T, f *farmtest.Farm) *doorway {
	t.Helper()
	d := &doorway{t: t, farm: f, stop: make(chan struct{}), front: f.Nodes[3], inside: make(map[*farmtest.Node]int)}
	d.left = sync.NewCond(&d.mu)
	for range 4 {
		g := newGuest(t, f, f.Nodes[3])
		d.all.Go(func() {
			tick := time.NewTicker(250 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-d.stop:
					return
				case <-tick.C:
					d.visit(g)
				}
			}
		})
	}
	return d
}

func (d *doorway) visit(g *guest) {
	d.mu.Lock()
	at := d.front
	d.inside[at]++
	d.mu.Unlock()
	if err := g.visit(at); err != nil {
		d.t.Errorf("by %s: %v", at, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.visits++
	d.inside[at]--
	d.left.Broadcast()
}

// restart stops a node in order and starts it again. If visitors come by it, they come by the other front from then on:
// no balancer is tested here.
func (d *doorway) restart(n *farmtest.Node) {
	d.t.Helper()
	d.mu.Lock()
	if fronts := d.farm.Nodes[3:]; n == d.front {
		if d.front = fronts[0]; n == fronts[0] {
			d.front = fronts[1]
		}
	}
	for d.inside[n] > 0 {
		d.left.Wait()
	}
	d.mu.Unlock()
	n.Restart()
	d.farm.Settle()
}

// end waits for the last visitors, and returns how many visits there were.
func (d *doorway) end() int {
	close(d.stop)
	d.all.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.visits
}

// The secret that all certificates of the farm's nodes come from is changed by three rolling restarts, under load: no
// request by a front fails meanwhile.
//
// Slow: five nodes are started three times more each.
func TestSecretRotatesUnderLoad(t *testing.T) {
	old, fresh := admin.NewSecret(), admin.NewSecret()
	secrets := []string{old}
	c := fronted(func(_ *farmtest.Node, c *farm.Config) { c.Secrets = secrets })
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		d := begin(t, f)
		for _, now := range [][]string{{old, fresh}, {fresh, old}, {fresh}} {
			secrets = now
			for _, n := range f.Nodes {
				d.restart(n)
			}
		}
		if n := d.end(); n < 300 {
			t.Errorf("%d visits", n)
		}
	})
}

// ca is an operator's authority, which signs for a while.
type ca struct {
	t    *testing.T
	key  ed25519.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool

	mu     sync.Mutex
	signed int64                       // guarded by mu
	nodes  map[string]*tls.Certificate // the newest ones; guarded by mu
}

func newCA(t *testing.T) *ca {
	t.Helper()
	a := &ca{t: t, pool: x509.NewCertPool(), nodes: make(map[string]*tls.Certificate)}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "Authority of a test"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	key, der := a.make(template, nil, 1000*time.Hour)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.key, a.cert = key, cert
	a.pool.AddCert(cert)
	return a
}

// make returns a new key, and a certificate of it that is valid from now on for so long.
func (a *ca) make(template, by *x509.Certificate, life time.Duration) (ed25519.PrivateKey, []byte) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.signed++
	template.SerialNumber = big.NewInt(a.signed)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Second), time.Now().Add(life)
	signer := a.key
	if by == nil {
		by, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, public, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, der
}

// renew makes a certificate for a node.
func (a *ca) renew(node string, life time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := &url.URL{Scheme: "webfarm", Host: "peer", Path: "/farmtest/node/" + node}
	key, der := a.make(&x509.Certificate{URIs: []*url.URL{name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, a.cert, life)
	a.nodes[node] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// newest returns what a node shows now.
func (a *ca) newest(node string) *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.nodes[node]
}

// Certificates of an operator's own authority expire and are renewed under load, again and again: no request by a front
// fails. Once the first ones have expired, each node is started anew, so that it meets all others by newer ones.
//
// Slow: five nodes with certificates of their own, under load.
func TestCertificatesRenewedUnderLoad(t *testing.T) {
	const life, renewed = 40 * time.Second, 10 * time.Second
	var a *ca // of the bubble's time
	c := fronted(func(n *farmtest.Node, c *farm.Config) {
		if a == nil {
			a = newCA(t)
		}
		if a.newest(n.Name()) == nil {
			a.renew(n.Name(), life)
		}
		c.Cluster.PeerTLS = &tls.Config{RootCAs: a.pool,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.newest(n.Name()), nil }}
	})
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		d := begin(t, f)
		over := make(chan struct{})
		d.all.Go(func() {
			tick := time.NewTicker(renewed)
			defer tick.Stop()
			for {
				select {
				case <-over:
					return
				case <-tick.C:
					for _, n := range f.Nodes {
						a.renew(n.Name(), life)
					}
				}
			}
		})
		time.Sleep(life + renewed)
		for _, n := range f.Nodes {
			d.restart(n)
		}
		close(over)
		if n := d.end(); n < 300 {
			t.Errorf("%d visits", n)
		}
	})
}
