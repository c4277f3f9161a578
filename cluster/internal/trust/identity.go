package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
)

// Identity is what a node proves who it is with: a key of its own and a certificate by the farm's authority.
// It does not change and may be used by many goroutines.
type Identity struct {
	trust *Trust
	node  string
	cert  tls.Certificate
	own   *own // with certificates of the operator's own, else nil
}

// Identity makes a new key and signs its certificate for the node of that ID with the first secret's
// authority.
func (t *Trust) Identity(nodeID string) (*Identity, error) {
	if nodeID == "" || len(nodeID) > maxName {
		return nil, fmt.Errorf("a NodeID must have 1 to %d bytes", maxName)
	}
	name, err := url.Parse(peerName(t.farm, nodeID))
	if err != nil {
		return nil, fmt.Errorf("name node %q: %w", nodeID, err)
	}
	cert, err := t.signer.issue("webfarm node", name, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, fmt.Errorf("the node's certificate: %w", err)
	}
	return &Identity{trust: t, node: nodeID, cert: cert}, nil
}

// issue makes a key and signs a certificate for it that carries name.
func (ca authority) issue(commonName string, name *url.URL, usages ...x509.ExtKeyUsage) (tls.Certificate,
	error) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	var serial [16]byte
	rand.Read(serial[:])
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial[:]),
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           usages,
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{name},
	}
	der, err := x509.CreateCertificate(nil, template, ca.cert, public, ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read what was signed: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// NodeID returns the ID the certificate names.
func (id *Identity) NodeID() string { return id.node }

// ServerFor is Server for one client, which has said hello.
func (id *Identity) ServerFor(hello *tls.ClientHelloInfo, protos ...string) (*tls.Config, error) {
	if id.own != nil {
		return id.own.server(hello, protos)
	}
	return id.Server(protos...), nil
}

// Server returns a configuration that takes any node of this farm, for one of the ALPN protocols. At least
// one must be given, and a client that names none of them is refused.
func (id *Identity) Server(protos ...string) *tls.Config {
	if id.own != nil {
		cfg, _ := id.own.server(nil, protos) // without a hello nobody is asked who could refuse
		return cfg
	}
	cfg := id.config(protos, "", x509.ExtKeyUsageClientAuth)
	cfg.ClientAuth = tls.RequireAnyClientCert // VerifyConnection verifies it
	return cfg
}

// Client returns a configuration that speaks proto with node wantNode of this farm; "" takes any node of it.
func (id *Identity) Client(proto, wantNode string) *tls.Config {
	if id.own != nil {
		return id.own.client(proto, wantNode)
	}
	cfg := id.config([]string{proto}, wantNode, x509.ExtKeyUsageServerAuth)
	// of the host's name, which says nothing here: VerifyConnection verifies the rest
	cfg.InsecureSkipVerify = true
	return cfg
}

func (id *Identity) config(protos []string, wantNode string, usage x509.ExtKeyUsage) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{id.cert},
		NextProtos:             protos,
		SessionTicketsDisabled: true, // every connection shows its certificate
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := speaks(cs, protos...); err != nil {
				return err
			}
			return id.trust.verify(cs, wantNode, usage)
		},
	}
}

// speaks returns an error if the two ends have not agreed on one of the protocols.
func speaks(cs tls.ConnectionState, protos ...string) error {
	if !slices.Contains(protos, cs.NegotiatedProtocol) {
		return fmt.Errorf("no protocol in common; offered here: %s", strings.Join(protos, ", "))
	}
	return nil
}

// verify checks the certificate at the other end: the authority first, for without it the names say nothing.
// They still tell the likely reason of a refusal.
func (t *Trust) verify(cs tls.ConnectionState, wantNode string, usage x509.ExtKeyUsage) error {
	if len(cs.PeerCertificates) == 0 {
		return ErrNotPeer
	}
	cert := cs.PeerCertificates[0]
	farm, node, nameErr := parsePeerName(cert)
	err := t.vouch(cert, usage)
	switch {
	case nameErr != nil:
		return nameErr
	case farm != t.farm && usage == x509.ExtKeyUsageServerAuth && t.signedFor(farm, cert):
		return fmt.Errorf("%w: %q, and this is %q", ErrOtherName, farm, t.farm)
	case farm != t.farm:
		return fmt.Errorf("%w: %q, and this is %q", ErrWrongFarm, farm, t.farm)
	case err != nil && foreign(err):
		return fmt.Errorf("%w: it names node %q of farm %q", ErrWrongSecret, node, farm)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotPeer, err)
	case wantNode != "" && node != wantNode:
		return fmt.Errorf("%w: %q, not %q", ErrWrongNode, node, wantNode)
	}
	return nil
}

// vouch returns nil if an authority of the farm has signed a certificate for that use.
func (t *Trust) vouch(cert *x509.Certificate, usage x509.ExtKeyUsage) error {
	p := proofOf(cert, usage)
	if t.known.has(p) {
		return nil
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:       t.roots,
		CurrentTime: checkedAt, // see the package comment
		KeyUsages:   []x509.ExtKeyUsage{usage},
	})
	if err == nil {
		t.known.add(p)
	}
	return err
}

// signedFor reports whether a certificate would be good in a farm of another name that has a secret of this
// one. It takes computing that farm's authority, which is done for whom this node has called, not for whoever
// calls it.
func (t *Trust) signedFor(farm string, cert *x509.Certificate) bool {
	for _, secret := range t.keys {
		_, ca, err := derive(farm, secret)
		if err == nil && cert.CheckSignatureFrom(ca.cert) == nil {
			return true
		}
	}
	return false
}

// foreign reports whether a certificate failed because no secret of this node made it: those that one made
// are signed by its authority, and valid at any time.
func foreign(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, new(x509.UnknownAuthorityError)) || errors.As(err, &invalid) &&
		invalid.Reason == x509.Expired
}

// PeerID returns the NodeID at the other end of a connection whose handshake ended well under Server's or
// Client's configuration. It verifies nothing itself.
func PeerID(cs tls.ConnectionState) (string, error) {
	if len(cs.PeerCertificates) == 0 {
		return "", ErrNotPeer
	}
	_, node, err := parsePeerName(cs.PeerCertificates[0])
	return node, err
}

const peerPrefix = "webfarm://peer/"

// peerName is the URI a node's certificate carries: webfarm://peer/FARM/node/ID, both escaped. They stand in
// the path and not in the place of the host, where capitals and most characters mean nothing.
func peerName(farm, node string) string {
	return peerPrefix + url.PathEscape(farm) + "/node/" + url.PathEscape(node)
}

func parsePeerName(cert *x509.Certificate) (farm, node string, err error) {
	var rest string
	ok := false
	for _, u := range cert.URIs { // an authority outside may have others as well
		s, is := strings.CutPrefix(u.String(), peerPrefix)
		if is && ok {
			return "", "", ErrNotPeer // which of the two?
		}
		if is {
			rest, ok = s, true
		}
	}
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || parts[1] != "node" {
		return "", "", ErrNotPeer
	}
	farm, err1 := url.PathUnescape(parts[0])
	node, err2 := url.PathUnescape(parts[2])
	if err1 != nil || err2 != nil || farm == "" || node == "" {
		return "", "", ErrNotPeer
	}
	return farm, node, nil
}
