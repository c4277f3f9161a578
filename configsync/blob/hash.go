package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Hash names a blob: the SHA-256 of its bytes. The zero Hash names none.
type Hash [sha256.Size]byte

// Sum returns the hash of a blob.
func Sum(b []byte) Hash { return sha256.Sum256(b) }

// ErrHash says that text is no hash.
var ErrHash = errors.New("blob: a hash has 64 digits of 0-9 and a-f")

// ParseHash reads what String writes, and nothing else.
func ParseHash(s string) (h Hash, err error) {
	if len(s) == 2*len(h) {
		if _, err = hex.Decode(h[:], []byte(s)); err == nil && h.String() == s {
			return h, nil
		}
	}
	return Hash{}, fmt.Errorf("%w: %.80q is none", ErrHash, s)
}

// String returns the hash as 64 hexadecimal digits, in lower case.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h names no blob.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText implements encoding.TextMarshaler: it is what String returns.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its errors are those of ParseHash.
func (h *Hash) UnmarshalText(b []byte) (err error) {
	*h, err = ParseHash(string(b))
	return err
}
