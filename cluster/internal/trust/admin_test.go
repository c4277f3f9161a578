package trust

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"testing"
)

func adminEnds(t *testing.T, tr *Trust) (client, server *Admin) {
	t.Helper()
	client, err := tr.AdminClient()
	if err != nil {
		t.Fatal(err)
	}
	if server, err = tr.AdminServer("n1"); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// The derivation is a wire format, as that of the peers' authority is.
func TestAdminDerivationIsFixed(t *testing.T) {
	tr := newTrust(t, "shop", testSecret)
	const want = "468ecb40a28bb27dc983a3dcd95ef5351536b747"
	if got := hex.EncodeToString(tr.admins.signer.cert.SubjectKeyId); got != want {
		t.Errorf("authority %s, want %s", got, want)
	}
}

// Whoever knows one of a farm's secrets may operate it. A node's certificate is not good for that, and an
// operator's is not good for a node.
func TestAdminHandshake(t *testing.T) {
	const proto = "webfarm-admin/1"
	one, two := NewSecret(), NewSecret()
	shop, depot, both := newTrust(t, "shop", one), newTrust(t, "depot", one), newTrust(t, "shop", two, one)
	client, server := adminEnds(t, shop)
	depotClient, _ := adminEnds(t, depot)
	bothClient, bothServer := adminEnds(t, both)
	otherClient, _ := adminEnds(t, newTrust(t, "shop", two))
	bare := client.Config(proto)
	bare.Certificates = nil
	peer := newIdentity(t, shop, "n2")
	scoped, err := shop.admin("role", "publish", x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		client, server *tls.Config
		cerr, serr     error // what each end says by itself
	}{
		"the secret":         {client: client.Config(proto), server: server.Config(proto)},
		"one of two secrets": {client: client.Config(proto), server: server.Config(proto)},
		"both know both":     {client: bothClient.Config(proto), server: bothServer.Config(proto)},
		"another secret": {otherClient.Config(proto), server.Config(proto), ErrWrongSecret,
			nil},
		"another farm":              {depotClient.Config(proto), server.Config(proto), ErrWrongFarm, nil},
		"a node as operator":        {server.Config(proto), server.Config(proto), ErrNotAdmin, nil},
		"a role of a later version": {scoped.Config(proto), server.Config(proto), nil, ErrNotAdmin},
		"a peer's certificate": {unverified(peer.Client(proto, "")), server.Config(proto), nil,
			ErrNotAdmin},
		"a peer that checks": {peer.Client(proto, ""), server.Config(proto), ErrNotPeer, nil},
		"an operator among peers": {unverified(client.Config(proto)), peer.Server(proto), nil,
			ErrNotPeer},
		"an admin node among peers": {unverified(server.Config(proto)), peer.Server(proto), nil,
			ErrNotPeer},
		"an operator that meets a peer": {client.Config(proto), unverified(peer.Server(proto)), ErrNotAdmin,
			nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, cerr, serr := handshake(t, c.client, c.server)
			if c.cerr == nil && c.serr == nil {
				if cerr != nil || serr != nil {
					t.Errorf("client: %v, server: %v", cerr, serr)
				}
				return
			}
			if c.cerr != nil && !errors.Is(cerr, c.cerr) || c.serr != nil && !errors.Is(serr, c.serr) {
				t.Errorf("client: %v, want %v; server: %v, want %v", cerr, c.cerr, serr, c.serr)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		if _, _, _, serr := handshake(t, bare, server.Config(proto)); serr == nil {
			t.Error("a client without certificate was let in")
		}
	})
}

// unverified returns cfg of an end that lets everything pass, so that the other end has to refuse.
func unverified(cfg *tls.Config) *tls.Config {
	cfg.VerifyConnection = nil
	cfg.InsecureSkipVerify = true
	return cfg
}
