// Package trust turns the secrets of a farm into its keys and certificates.
//
// Everything comes from the secrets by HKDF-SHA256 (RFC 5869): the keys of the gossip packets and the seeds
// of two Ed25519 certificate authorities, one of the nodes, and one of those who operate the farm (see
// Admin). Nobody has to run or to store an authority: whoever knows a secret can compute it. A node makes a
// fresh key at each start and signs a certificate for it that names the farm and the node. So a certificate
// says "its holder knows the farm's secret, and says it is this node"; members are not protected from each
// other.
//
// The farm's name is the salt of the derivation: two farms that share a secret by mistake are still
// strangers. The info strings name the purpose, so keys for other purposes can be derived from the same
// secrets later.
//
// Certificates never expire, and clocks are not asked: the chain is verified as of a fixed moment. A farm
// whose clocks are years off (a machine without a battery, a restored image) must still come up, and an
// expiry date would protect nothing here, since a stolen secret can sign a new certificate at any time. What
// ends trust is taking a secret out of the list, one rolling restart after the next one began to sign.
//
// Certificates of an authority outside are another matter: see Own.
package trust

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

const (
	infoGossip = "webfarm/1 gossip key"
	infoPeerCA = "webfarm/1 peer authority seed"

	// loopbackSecret takes the place of a secret where there is none. It is public: it protects from
	// accidents only.
	loopbackSecret = "webfarm/1 no secret, loopback only"

	maxName = 128 // bytes of a farm's name or a NodeID
)

var (
	notBefore = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280 §4.1.2.5: no well-defined end
	// between them: the moment chains are verified for
	checkedAt = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Trust holds what a farm's secrets stand for. That does not change. It may be used by many goroutines.
type Trust struct {
	farm   string
	keys   []string // the secrets
	gossip [][]byte // in their order
	signer authority
	roots  *x509.CertPool // the authorities of all secrets
	admins admins
	known  known
}

// authority is a certificate authority computed from a secret. It is the same on every node.
type authority struct {
	key  ed25519.PrivateKey
	cert *x509.Certificate
}

// New derives the keys of the farm of that name. The first secret signs and encrypts, all of them are
// accepted, which allows to change the secret by three rolling restarts: [old new], [new old], [new]. Blanks
// around a secret are cut off. A secret that does not carry 128 bits is refused.
//
// Without secrets the keys come from a public constant. They keep other farms' nodes away by accident and
// protect from nobody who means harm: only for nodes that listen on loopback.
func New(farm string, secrets []string) (*Trust, error) {
	if farm == "" || len(farm) > maxName {
		return nil, fmt.Errorf("the farm's name must have 1 to %d bytes", maxName)
	}
	keys, err := cleanSecrets(secrets)
	if err != nil {
		return nil, err
	}
	t := &Trust{farm: farm, keys: keys, roots: x509.NewCertPool()}
	for i, secret := range keys {
		gossip, ca, err := derive(farm, secret)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			t.signer = ca
		}
		t.gossip = append(t.gossip, gossip)
		t.roots.AddCert(ca.cert)
		if err := t.admins.add(farm, secret); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// GossipKeys returns one AES-256 key of 32 bytes for each secret, in their order: the first encrypts, all
// decrypt. The caller may keep and change what it gets.
func (t *Trust) GossipKeys() [][]byte {
	keys := make([][]byte, len(t.gossip))
	for i, k := range t.gossip {
		keys[i] = slices.Clone(k)
	}
	return keys
}

// cleanSecrets checks and trims the secrets, drops repeated ones, and stands in for none at all.
func cleanSecrets(secrets []string) ([]string, error) {
	if len(secrets) == 0 {
		return []string{loopbackSecret}, nil
	}
	var clean []string
	for i, s := range secrets {
		s = strings.TrimSpace(s)
		if err := checkSecret(s); err != nil {
			return nil, fmt.Errorf("secret %d of %d %w", i+1, len(secrets), err)
		}
		if !slices.Contains(clean, s) {
			clean = append(clean, s)
		}
	}
	return clean, nil
}

func derive(farm, secret string) (gossip []byte, ca authority, err error) {
	if gossip, err = keyFor(infoGossip, farm, secret, 32); err != nil {
		return nil, authority{}, err
	}
	ca, err = newAuthority("peers", infoPeerCA, farm, secret)
	return gossip, ca, err
}

// keyFor derives the key of that size for the purpose that info names.
func keyFor(info, farm, secret string, size int) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(secret), []byte("webfarm/1 farm "+farm), info, size)
}

// newAuthority makes the authority of peers or admins, with its own certificate. Ed25519 signatures are
// deterministic and so is everything else in it: all nodes make the same bytes.
func newAuthority(of, info, farm, secret string) (authority, error) {
	seed, err := keyFor(info, farm, secret, ed25519.SeedSize)
	if err != nil {
		return authority{}, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	public := key.Public().(ed25519.PublicKey)
	sum := sha256.Sum256(public)
	id := sum[:20]
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(id[:8]),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("webfarm %s %x", of, id[:8])},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          id,
	}
	der, err := x509.CreateCertificate(nil, template, template, public, key)
	if err != nil {
		return authority{}, fmt.Errorf("farm %q: make the authority's certificate: %w", farm, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fmt.Errorf("farm %q: read the authority's certificate: %w", farm, err)
	}
	return authority{key: key, cert: cert}, nil
}

// What is wrong with a peer. The errors that handshakes end with wrap one of these where it can be told.
var (
	ErrWrongSecret = errors.New("the peer's certificate comes from another secret: the two nodes have none " +
		"of their Secrets " +
		"(FARM_SECRET) in common, or one of them has certificates of its own (PeerTLS)")
	ErrWrongFarm = errors.New("the peer belongs to another farm")

	// ErrOtherName is an ErrWrongFarm by proof: the peer has the secret, or a certificate of the authority,
	// and the other name's certificate. So it is no stranger's claim that the two nodes are set up for farms
	// of different names.
	ErrOtherName = fmt.Errorf("%w, by its name", ErrWrongFarm)
	ErrWrongNode = errors.New("the peer is another node than the one wanted")
	ErrNotPeer   = errors.New("the peer showed no certificate of a farm's node")
)
