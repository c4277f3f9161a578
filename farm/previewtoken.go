package farm

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/keyring"
)

// previewToken lets a client see a release that is not in force.
type previewToken struct {
	release uint64
	digest  [32]byte // of what the release consists of
	until   time.Time
}

const (
	previewVersion = 1
	previewBytes   = 1 + 8 + 8 + 32
	maxPreview     = 256 // bytes of a token, encoded
)

func (f *Farm) previewKeys() *keyring.Purpose {
	return f.keys.Purpose(KeyPurpose, "webfarm", "preview")
}

// encode returns the token as text, signed by the key ring; "" if this node has no key yet.
func (t previewToken) encode(keys *keyring.Purpose) string {
	b := make([]byte, 0, previewBytes)
	b = binary.BigEndian.AppendUint64(append(b, previewVersion), t.release)
	b = append(binary.BigEndian.AppendUint64(b, uint64(t.until.Unix())), t.digest[:]...)
	signature := pinSigner{keys}.Sign(b)
	if signature == nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// decodePreview returns what a token says; false if it is forged or over.
func decodePreview(keys *keyring.Purpose, text string, now time.Time) (t previewToken, ok bool) {
	said, sum, ok := strings.Cut(text, ".")
	if !ok || len(text) > maxPreview {
		return t, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(said)
	if err != nil || len(b) != previewBytes || b[0] != previewVersion {
		return t, false
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err != nil || !(pinSigner{keys}).Verify(b, signature) {
		return t, false
	}
	t.release = binary.BigEndian.Uint64(b[1:])
	t.until = time.Unix(int64(binary.BigEndian.Uint64(b[9:])), 0)
	copy(t.digest[:], b[17:])
	return t, now.Before(t.until)
}
