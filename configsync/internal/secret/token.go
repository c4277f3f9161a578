package secret

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/keyring"
)

// Word is the only name in the map that stands for a sealed secret in a file: {$secret: s1....}.
const Word = "$secret"

// MaxText is how long a secret may be, in bytes. A revision has 256 KiB for all.
const MaxText = 16 << 10

// A token is what stands in a file: "s1.", the fingerprint, ".", and what is sealed in base64url.
const (
	tokenBegin = "s1."
	fpBytes    = 8
)

var errToken = errors.New("is no sealed secret: it has to be just what farmctl config secret has written, " +
	"such as s1.9f86d081884c7d65.AbC, and whole")

func writeToken(fingerprint string, sealed []byte) string {
	return tokenBegin + fingerprint + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

func readToken(token string) (fingerprint string, sealed []byte, err error) {
	rest, ok := strings.CutPrefix(token, tokenBegin)
	fingerprint, body, dot := strings.Cut(rest, ".")
	fp, err1 := hex.DecodeString(fingerprint)
	sealed, err2 := base64.RawURLEncoding.Strict().DecodeString(body)
	if !ok || !dot || err1 != nil || err2 != nil || len(fp) != fpBytes || writeToken(fingerprint, sealed) != token {
		return "", nil, errToken
	}
	return fingerprint, sealed, nil
}

// Place is what a secret is sealed for: it opens nowhere else.
type Place struct {
	Config string
	Field  string // such as payments.key
}

// Opener says what becomes of the secrets in files. The zero Opener refuses all that are sealed.
type Opener struct {
	// Open opens a token.
	Open func(at Place, token string) (Secret, error)

	// Plain says that secrets may be in plain text: the files are a developer's own and go nowhere.
	Plain bool
}

// Sealed is for where there are no keys: what is sealed stays so.
func Sealed() Opener {
	return Opener{Open: func(_ Place, token string) (Secret, error) {
		fingerprint, _, err := readToken(token)
		return Unread(fingerprint), err
	}}
}

// Lenient returns an Opener that has what cannot be opened stay sealed.
func (o Opener) Lenient() Opener {
	open := o.Open
	o.Open = func(at Place, token string) (Secret, error) {
		if open != nil {
			if s, err := open(at, token); err == nil {
				return s, nil
			}
		}
		return Sealed().Open(at, token)
	}
	return o
}

var anyToken = regexp.MustCompile(`s1\.[0-9a-f]{16}\.[A-Za-z0-9_-]+`)

// KeysIn returns the ids of the key ring's keys by which what looks like a token in a text is sealed.
func KeysIn(text string) (ids []uint32) {
	for _, token := range anyToken.FindAllString(text, -1) {
		if _, sealed, err := readToken(token); err == nil {
			if id, ok := keyring.KeyOf(sealed); ok {
				ids = append(ids, id)
			}
		}
	}
	return ids
}
