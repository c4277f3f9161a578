package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
)

// mostKnown bounds known. A farm has fewer nodes than that, each with one certificate as long as it runs.
const mostKnown = 1024

// known holds the certificates that were found to be of the farm, so that each is verified once and not at
// each connection of its node. What is good stays so: a certificate is verified as of a fixed moment, and the
// authorities of a Trust do not change. Whoever shows it still has to prove that he has its key.
type known struct {
	mu   sync.Mutex
	good map[proof]struct{}
}

// proof is that a certificate is good for a use.
type proof struct {
	sum   [sha256.Size]byte // of the certificate, signature included
	usage x509.ExtKeyUsage
}

func proofOf(cert *x509.Certificate, usage x509.ExtKeyUsage) proof {
	return proof{sum: sha256.Sum256(cert.Raw), usage: usage}
}

func (k *known) has(p proof) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.good[p]
	return ok
}

// add adds a proof. When there are too many, most are of nodes that have ended: all are forgotten, and those
// of nodes that run are verified once more.
func (k *known) add(p proof) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.good == nil || len(k.good) >= mostKnown {
		k.good = map[proof]struct{}{}
	}
	k.good[p] = struct{}{}
}
