package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// own is an Identity whose certificate comes from an authority outside: the operator's. The chain proves
// membership, and the certificate's name who it is: the same URI as in a certificate made from a secret, but
// that the NodeID is chosen by whoever asked for the certificate. So the authority protects the members from
// each other, which a shared secret cannot.
//
// Here clocks count: such certificates expire, and there may be no other way to take one back.
type own struct {
	base *tls.Config
	id   *Identity
}

var (
	// ErrWrongAuthority says that a peer's certificate comes from an authority that is not trusted.
	ErrWrongAuthority = errors.New("the peer's certificate comes from an authority that is not trusted here")

	// ErrExpired says that a certificate is not valid now.
	ErrExpired = errors.New("the certificate is not valid at this time")
)

// Own makes an Identity of a configuration with certificates of the operator's own; see
// cluster.Config.PeerTLS for what it must have. It fails if the node could not prove with it who it is.
func (t *Trust) Own(base *tls.Config) (*Identity, error) {
	if err := checkOwn(base); err != nil {
		return nil, fmt.Errorf("PeerTLS: %w", err)
	}
	id := &Identity{trust: t}
	id.own = &own{base: base.Clone(), id: id}
	node, err := id.own.check()
	if err != nil {
		return nil, fmt.Errorf("PeerTLS: %w", err)
	}
	id.node = node
	return id, nil
}

func checkOwn(c *tls.Config) error {
	switch {
	case len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetClientCertificate == nil:
		return errors.New("there is no certificate: set Certificates, or GetCertificate to have it read anew")
	case c.RootCAs == nil && c.ClientCAs == nil:
		return errors.New("set RootCAs or ClientCAs to the authority of the farm's nodes; with the " +
			"system's, everybody who " +
			"has a web server would be a member")
	case c.InsecureSkipVerify:
		return errors.New("InsecureSkipVerify would let everybody in")
	case len(c.NextProtos) > 0:
		return errors.New("NextProtos must be empty: the peer port has its own")
	case c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS13:
		return errors.New("MaxVersion must allow TLS 1.3")
	case c.ClientAuth != tls.NoClientCert && c.ClientAuth != tls.RequireAndVerifyClientCert:
		return errors.New("ClientAuth must be left at zero, or be RequireAndVerifyClientCert: nodes always " +
			"show a certificate")
	}
	return nil
}

// check looks at the node's own certificate as others will, in both roles, and returns the NodeID that it
// names.
func (o *own) check() (node string, err error) {
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		cert, err := o.certificate(o.base, usage, nil, nil)
		if err != nil {
			return "", err
		}
		chain, err := parseChain(cert)
		if err != nil {
			return "", err
		}
		farm, name, err := parsePeerName(chain[0])
		switch {
		case err != nil:
			return "", fmt.Errorf("the node's certificate does not name it; it needs the URI %s",
				peerName(o.id.trust.farm, "ID"))
		case farm != o.id.trust.farm:
			return "", fmt.Errorf("the node's certificate is for a node of farm %q, and this is %q", farm,
				o.id.trust.farm)
		case !validOwnID(name):
			return "", fmt.Errorf("the node's certificate calls it %q; a NodeID has 1 to 64 letters, "+
				"digits, '-' or '_'", name)
		case node != "" && node != name:
			return "", fmt.Errorf("as a server the node is %q by its certificate, as a client %q", node, name)
		}
		if _, err := o.chains(o.base, chain, usage); err != nil {
			return "", fmt.Errorf("the node's own certificate would be refused: %w", err)
		}
		node = name
	}
	return node, nil
}

// validOwnID: no dots, since a Raft server ID is a NodeID, a dot, and an incarnation.
func validOwnID(s string) bool {
	return s != "" && len(s) <= 64 &&
		strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") == ""
}

// certificate returns what the node shows in a role: from the callback meant for it, from Certificates, or
// from the callback of the other role, so that one callback is enough to have a certificate renewed.
func (o *own) certificate(c *tls.Config, usage x509.ExtKeyUsage, h *tls.ClientHelloInfo,
	r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if h == nil {
		h = &tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS13}}
	}
	if r == nil {
		r = &tls.CertificateRequestInfo{Version: tls.VersionTLS13}
	}
	asServer := func() (*tls.Certificate, error) { return c.GetCertificate(h) }
	asClient := func() (*tls.Certificate, error) { return c.GetClientCertificate(r) }
	var cert *tls.Certificate
	var err error
	switch server := usage == x509.ExtKeyUsageServerAuth; {
	case server && c.GetCertificate != nil:
		cert, err = asServer()
	case !server && c.GetClientCertificate != nil:
		cert, err = asClient()
	case len(c.Certificates) > 0:
		cert = &c.Certificates[0]
	case c.GetCertificate != nil:
		cert, err = asServer()
	case c.GetClientCertificate != nil:
		cert, err = asClient()
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("the node's certificate: %w", err)
	case cert == nil || len(cert.Certificate) == 0:
		return nil, errors.New("the node has no certificate")
	}
	return cert, nil
}

// show is certificate for a handshake: one that was renewed under another name would make this node somebody
// else.
func (o *own) show(c *tls.Config, usage x509.ExtKeyUsage, h *tls.ClientHelloInfo,
	r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert, err := o.certificate(c, usage, h, r)
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(cert)
	if err != nil {
		return nil, err
	}
	if _, name, err := parsePeerName(chain[0]); err != nil || name != o.id.node {
		return nil, fmt.Errorf("the certificate was renewed for node %q, and this is %q: restart the node",
			name, o.id.node)
	}
	return cert, nil
}

func parseChain(c *tls.Certificate) (chain []*x509.Certificate, err error) {
	if c.Leaf != nil && len(c.Certificate) == 1 {
		return []*x509.Certificate{c.Leaf}, nil
	}
	for _, der := range c.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("the node's certificate: %w", err)
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

// server is Identity.Server. A configuration that GetConfigForClient returns takes the place of the other for
// that connection: by it, certificates and trusted authorities can be changed while the node runs.
func (o *own) server(hello *tls.ClientHelloInfo, protos []string) (*tls.Config, error) {
	base := o.base
	if base.GetConfigForClient != nil && hello != nil {
		c, err := base.GetConfigForClient(hello)
		if err != nil {
			return nil, err
		}
		if c != nil {
			base = c
		}
	}
	cfg := o.config(base, protos, "", x509.ExtKeyUsageClientAuth)
	cfg.ClientAuth = tls.RequireAnyClientCert // VerifyConnection verifies it
	cfg.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return o.show(base, x509.ExtKeyUsageServerAuth, h, nil)
	}
	return cfg, nil
}

// client is Identity.Client.
func (o *own) client(proto, wantNode string) *tls.Config {
	cfg := o.config(o.base, []string{proto}, wantNode, x509.ExtKeyUsageServerAuth)
	// of the host's name, which says nothing here: VerifyConnection verifies the rest
	cfg.InsecureSkipVerify = true
	cfg.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return o.show(o.base, x509.ExtKeyUsageClientAuth, nil, r)
	}
	return cfg
}

// config takes from base what is the operator's business. The rest is as for certificates made from a secret.
func (o *own) config(base *tls.Config, protos []string, wantNode string, usage x509.ExtKeyUsage) *tls.Config {
	return &tls.Config{
		Rand:                   base.Rand,
		Time:                   base.Time,
		KeyLogWriter:           base.KeyLogWriter,
		CurvePreferences:       base.CurvePreferences,
		MinVersion:             tls.VersionTLS13,
		NextProtos:             protos,
		SessionTicketsDisabled: true, // every connection shows its certificate
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := speaks(cs, protos...); err != nil {
				return err
			}
			return o.verify(base, cs, wantNode, usage)
		},
	}
}

// verify checks the certificate at the other end: the chain, the farm, the node, and what the operator's own
// hooks say.
func (o *own) verify(base *tls.Config, cs tls.ConnectionState, wantNode string,
	usage x509.ExtKeyUsage) error {
	if len(cs.PeerCertificates) == 0 {
		return ErrNotPeer
	}
	chains, err := o.chains(base, cs.PeerCertificates, usage)
	if err != nil {
		return err
	}
	farm, node, err := parsePeerName(cs.PeerCertificates[0])
	switch {
	case err != nil || !validOwnID(node):
		return fmt.Errorf("%w: it needs the URI %s", ErrNotPeer, peerName(o.id.trust.farm, "ID"))
	case farm != o.id.trust.farm:
		// so says the authority
		return fmt.Errorf("%w: %q, and this is %q", ErrOtherName, farm, o.id.trust.farm)
	case wantNode != "" && node != wantNode:
		return fmt.Errorf("%w: %q, not %q", ErrWrongNode, node, wantNode)
	}
	return hooks(base, cs, chains)
}

func hooks(base *tls.Config, cs tls.ConnectionState, chains [][]*x509.Certificate) error {
	if base.VerifyPeerCertificate != nil {
		var raw [][]byte
		for _, c := range cs.PeerCertificates {
			raw = append(raw, c.Raw)
		}
		if err := base.VerifyPeerCertificate(raw, chains); err != nil {
			return err
		}
	}
	if base.VerifyConnection != nil {
		cs.VerifiedChains = chains
		return base.VerifyConnection(cs)
	}
	return nil
}

// chains verifies a certificate, with the others that came with it, for a role.
func (o *own) chains(base *tls.Config, certs []*x509.Certificate,
	usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	roots, other := base.RootCAs, base.ClientCAs
	if usage == x509.ExtKeyUsageClientAuth {
		roots, other = other, roots
	}
	if roots == nil {
		roots = other // one for both; never nil, for that would be the system's
	}
	if roots == nil {
		return nil, fmt.Errorf("%w: GetConfigForClient has returned a configuration without any",
			ErrWrongAuthority)
	}
	now := time.Now()
	if base.Time != nil {
		now = base.Time()
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{usage}}
	for _, c := range certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	chains, err := certs[0].Verify(opts)
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return chains, nil
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return nil, fmt.Errorf("%w: that of %q is valid from %s to %s, and the clock here says %s; renew "+
			"it, or set the clock",
			ErrExpired, nameOf(invalid.Cert), stamp(invalid.Cert.NotBefore), stamp(invalid.Cert.NotAfter),
			stamp(now))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return nil, fmt.Errorf("%w: that of %q must be good for server and client authentication", ErrNotPeer,
			nameOf(certs[0]))
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return nil, fmt.Errorf("%w: that of %q is signed by %q; see PeerTLS", ErrWrongAuthority,
			nameOf(certs[0]), certs[0].Issuer)
	}
	return nil, fmt.Errorf("%w: %w", ErrNotPeer, err)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// nameOf returns what a person knows a certificate by.
func nameOf(c *x509.Certificate) string {
	if _, node, err := parsePeerName(c); err == nil {
		return node
	}
	return c.Subject.String()
}
