package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Those who operate a farm have an authority of their own. Its certificates are good for the admin protocol
// only, and nodes' certificates are not: so a certificate for operating can one day be given to somebody who
// shall not be able to pose as a node. A node shows a certificate of this authority too, when it answers: its
// peer certificate may come from a PKI that the operator's tool does not know.
const infoAdminCA = "webfarm/1 admin authority seed"

// roleOperator is the role that may do everything. A certificate for another role, which may do less, is none
// for a node that does not know the role.
const roleOperator = "operator"

// ErrNotAdmin says that a connection for operating the farm showed no certificate for that.
var ErrNotAdmin = errors.New("the other end showed no certificate for operating a farm")

// admins is the authority of those who operate the farm, for each secret.
type admins struct {
	signer authority // of the first secret
	roots  *x509.CertPool
}

func (a *admins) add(farm, secret string) error {
	ca, err := newAuthority("admins", infoAdminCA, farm, secret)
	if err != nil {
		return err
	}
	if a.roots == nil {
		a.signer, a.roots = ca, x509.NewCertPool()
	}
	a.roots.AddCert(ca.cert)
	return nil
}

// Admin is one end of connections for operating a farm: a node that answers, or an operator's tool. It does
// not change and may be used by many goroutines.
type Admin struct {
	trust  *Trust
	cert   tls.Certificate
	server bool
}

// AdminServer makes a key and a certificate with which the node of that ID answers those who operate the
// farm.
func (t *Trust) AdminServer(nodeID string) (*Admin, error) {
	if nodeID == "" || len(nodeID) > maxName {
		return nil, fmt.Errorf("a NodeID must have 1 to %d bytes", maxName)
	}
	return t.admin("node", nodeID, x509.ExtKeyUsageServerAuth)
}

// AdminClient makes a key and a certificate with which somebody who knows the secret operates the farm.
func (t *Trust) AdminClient() (*Admin, error) {
	return t.admin("role", roleOperator, x509.ExtKeyUsageClientAuth)
}

func (t *Trust) admin(kind, who string, usage x509.ExtKeyUsage) (*Admin, error) {
	name, err := url.Parse(adminPrefix + url.PathEscape(t.farm) + "/" + kind + "/" + url.PathEscape(who))
	if err != nil {
		return nil, fmt.Errorf("name admin %s %q: %w", kind, who, err)
	}
	cert, err := t.admins.signer.issue("webfarm admin", name, usage)
	if err != nil {
		return nil, fmt.Errorf("the certificate for operating the farm: %w", err)
	}
	return &Admin{trust: t, cert: cert, server: usage == x509.ExtKeyUsageServerAuth}, nil
}

// Config returns the configuration of a connection of the ALPN protocol proto, for a server or a client as
// the Admin was made.
func (a *Admin) Config(proto string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{a.cert},
		NextProtos:             []string{proto},
		SessionTicketsDisabled: true,
		// VerifyConnection verifies it, and a client the server's
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := speaks(cs, proto); err != nil {
				return err
			}
			return a.verify(cs)
		},
	}
}

// verify checks that the other end is what this one is not: an operator for a node, and a node for an
// operator.
func (a *Admin) verify(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return ErrNotAdmin
	}
	cert := cs.PeerCertificates[0]
	kind, usage := "node", x509.ExtKeyUsageServerAuth
	if a.server {
		kind, usage = "role", x509.ExtKeyUsageClientAuth
	}
	farm, who, nameErr := parseAdminName(cert, kind)
	_, err := cert.Verify(x509.VerifyOptions{Roots: a.trust.admins.roots, CurrentTime: checkedAt,
		KeyUsages: []x509.ExtKeyUsage{usage}})
	switch {
	case nameErr != nil:
		return nameErr
	case farm != a.trust.farm:
		return fmt.Errorf("%w: %q, and this is %q", ErrWrongFarm, farm, a.trust.farm)
	case err != nil && errors.As(err, new(x509.UnknownAuthorityError)):
		return ErrWrongSecret
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotAdmin, err)
	case a.server && who != roleOperator:
		return fmt.Errorf("%w: this node knows nothing of the role %q", ErrNotAdmin, who)
	}
	return nil
}

const adminPrefix = "webfarm://admin/"

// parseAdminName returns what webfarm://admin/FARM/KIND/WHO says, where KIND is node for a node that answers
// and role for who operates the farm.
func parseAdminName(cert *x509.Certificate, kind string) (farm, who string, err error) {
	if len(cert.URIs) != 1 {
		return "", "", ErrNotAdmin
	}
	rest, ok := strings.CutPrefix(cert.URIs[0].String(), adminPrefix)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || parts[1] != kind || slices.Contains(parts, "") {
		return "", "", ErrNotAdmin
	}
	farm, err1 := url.PathUnescape(parts[0])
	who, err2 := url.PathUnescape(parts[2])
	if err1 != nil || err2 != nil || farm == "" {
		return "", "", ErrNotAdmin
	}
	return farm, who, nil
}
