package farm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
)

// pins returns what keeps visitors in the release of the page that they have.
func (f *Farm) pins() *content.Pins {
	return &content.Pins{Signer: pinSigner{f.keys.Purpose(KeyPurpose, "webfarm", "release pin")},
		Insecure: f.cfg.Session.Cookie.Insecure}
}

// pinSigner signs by a sub-key of KeyPurpose. A signature is the number of the key, and then HMAC-SHA256. It is a
// content.Signer.
type pinSigner struct{ keys *keyring.Purpose }

// Sign returns a signature of a message; nil if this node has no key yet.
func (s pinSigner) Sign(message []byte) []byte {
	id, key, ok := s.keys.Current()
	if !ok {
		return nil
	}
	return append(binary.BigEndian.AppendUint32(nil, id), sum(key, message)...)
}

// Verify reports whether a node signed a message. By a key that is not here yet nobody is pinned.
func (s pinSigner) Verify(message, signature []byte) bool {
	if len(signature) != 4+sha256.Size {
		return false
	}
	key, ok := s.keys.Key(binary.BigEndian.Uint32(signature))
	return ok && hmac.Equal(signature[4:], sum(key, message))
}

func sum(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}
