package credential

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// Key is a credential as its holder has it. Whoever has it may publish to the farm until NotAfter, or until
// it is revoked. It is printed by nothing but Encode.
type Key struct {
	Farm     string    // the one farm that it is for
	Name     string    // for people: ci
	NotAfter time.Time // in seconds
	URLs     []string  // where to publish from afar, such as https://www.example.com/publish; may be empty
	secret   ed25519.PrivateKey
}

// NewKey makes a key. The farm has to be told of its public half before it is good for anything. The error
// says what is wrong with a name or a URL.
func NewKey(farm, name string, notAfter time.Time, urls ...string) (*Key, error) {
	for _, s := range append([]string{farm, name}, urls...) {
		if err := CheckName(s); err != nil {
			return nil, fmt.Errorf("credential: %.80q: %w", s, err)
		}
	}
	for _, u := range urls {
		if strings.ContainsAny(u, " \t") || len(urls) > maxURLs {
			return nil, fmt.Errorf("credential: %.80q: a URL has no spaces, and there are at most %d", u, maxURLs)
		}
	}
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	return &Key{Farm: farm, Name: name, NotAfter: notAfter.UTC().Truncate(time.Second), URLs: urls,
		secret: secret}, nil
}

// Public returns the public half.
func (k *Key) Public() (p Public) {
	copy(p[:], k.secret.Public().(ed25519.PublicKey))
	return p
}

// ID returns the name of the credential.
func (k *Key) ID() string { return k.Public().ID() }

// String returns what may be said of a key: not the key.
func (k *Key) String() string { return "credential " + k.ID() }

// GoString is String: no way of printing a key prints it.
func (k *Key) GoString() string { return k.String() }
