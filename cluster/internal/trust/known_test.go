package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"testing"
)

// A node's certificate is verified at its first connection, and not at the later ones. That of another node
// is verified for itself.
func TestKnownCertificate(t *testing.T) {
	tr, peers := newTrust(t, "shop", testSecret), newTrust(t, "shop", testSecret)
	id, one, other := newIdentity(t, tr, "me"), newIdentity(t, peers, "one"), newIdentity(t, peers, "other")
	both := func(peer *Identity) (asServer, asClient error) {
		_, _, asServer, _ = handshake(t, id.Client("raft", peer.NodeID()), peer.Server("raft"))
		_, _, _, asClient = handshake(t, peer.Client("raft", "me"), id.Server("raft"))
		return asServer, asClient
	}
	if s, c := both(one); s != nil || c != nil {
		t.Fatalf("the first connections: %v, %v", s, c)
	}
	tr.roots = x509.NewCertPool() // whatever is verified from now on is refused
	if s, c := both(one); s != nil || c != nil {
		t.Errorf("the certificate was verified again: %v, %v", s, c)
	}
	if s, c := both(other); s == nil || c == nil {
		t.Errorf("another node's certificate was not verified: %v, %v", s, c)
	}
}

// What was good for one use is verified for another one, and what was refused is refused again. A known
// certificate is of use to its node only: the name is looked at each time.
func TestKnownForItsUse(t *testing.T) {
	tr := newTrust(t, "shop", testSecret)
	client, err := tr.signer.issue("client only", newIdentity(t, tr, "c").cert.Leaf.URIs[0],
		x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	me, n := newIdentity(t, tr, "me"), newIdentity(t, tr, "n")
	stranger := newIdentity(t, newTrust(t, "shop", "x"+testSecret), "n").cert.Leaf
	for range 2 {
		if err := tr.vouch(client.Leaf, x509.ExtKeyUsageClientAuth); err != nil {
			t.Errorf("of a client: %v", err)
		}
		if err := tr.vouch(client.Leaf, x509.ExtKeyUsageServerAuth); err == nil {
			t.Error("a client's certificate was taken for a server's")
		}
		if err := tr.vouch(stranger, x509.ExtKeyUsageClientAuth); err == nil {
			t.Error("a stranger's certificate was taken")
		}
		if _, _, err, _ := handshake(t, me.Client("raft", "m"), n.Server("raft")); err == nil {
			t.Error("a node was taken for another one")
		}
	}
}

// However many certificates there are, only so many are known, the last among them.
func TestKnownAreBounded(t *testing.T) {
	var k known
	for i := range 3*mostKnown + 7 {
		p := proof{sum: sha256.Sum256([]byte{byte(i), byte(i >> 8)})}
		if k.has(p) {
			t.Fatalf("%d is known before it was added", i)
		}
		if k.add(p); !k.has(p) || len(k.good) > mostKnown {
			t.Fatalf("%d is known: %v; %d are", i, k.has(p), len(k.good))
		}
	}
}
