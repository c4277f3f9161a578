package secret

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/seed48eb2e21/webfarm/configsync/keyring"
)

// KeyPurpose is the purpose of the keys in the key ring that seal secrets. They never retire by themselves.
const KeyPurpose = "config"

// Keys seals and opens secrets: by the keys of the farm's key ring, and within that by a key of the
// operators', if there is one, which the farm does not know.
type Keys struct {
	seal  *keyring.Purpose
	mark  *keyring.Purpose
	outer []outer // the first seals, all open
}

// NewKeys returns the keys of a ring, which may be nil, and of the operators' own, the first of which seals.
func NewKeys(ring *keyring.Ring, own []string) (*Keys, error) {
	k := &Keys{}
	if ring != nil {
		k.seal, k.mark = ring.Purpose(KeyPurpose, "secret"), ring.Purpose(KeyPurpose, "fingerprint")
	}
	for _, s := range own {
		if len(s) < minOwn {
			return nil, fmt.Errorf("a key for secrets has %d characters; it takes %d at least: farmctl secret makes "+
				"one", len(s), minOwn)
		}
		k.outer = append(k.outer, newOuter(s))
	}
	return k, nil
}

// minOwn is how long a key of the operators' is at least, in bytes.
const minOwn = 32

var errNoRing = errors.New("there is no key ring here to seal and open secrets")

// Seal returns the token of a text.
func (k *Keys) Seal(at Place, text string) (token string, err error) {
	switch {
	case text == "":
		return "", errors.New("a secret has to have some text; to have none, take the field out of the file")
	case len(text) > MaxText:
		return "", fmt.Errorf("the secret has %d bytes; %d are possible", len(text), MaxText)
	case !utf8.ValidString(text):
		return "", errors.New("the secret is not UTF-8: encode it as base64")
	case k.seal == nil:
		return "", errNoRing
	}
	_, key, ok := k.mark.Current()
	if !ok {
		return "", keyring.ErrNotYet
	}
	fingerprint := fingerprintOf(key, at, text)
	inner := append([]byte{innerPlain}, text...)
	if len(k.outer) > 0 {
		inner = k.outer[0].seal(inner, bound(at, fingerprint))
	}
	sealed, err := k.seal.Protect(inner, bound(at, fingerprint))
	if err != nil {
		return "", err
	}
	return writeToken(fingerprint, sealed), nil
}

// Open returns the secret in a token. It asks no other node: the keys come by the same log as the files. The
// error is or says what is wrong; keyring.ErrNotYet: it may be right in a moment.
func (k *Keys) Open(at Place, token string) (Secret, error) {
	fingerprint, sealed, err := readToken(token)
	if err != nil {
		return Secret{}, err
	}
	if k.seal == nil {
		return Secret{}, errNoRing
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	inner, err := k.seal.Unprotect(ctx, sealed, bound(at, fingerprint))
	switch {
	case errors.Is(err, keyring.ErrForged):
		return Secret{}, errors.New("was sealed for another field, or has been changed: set it again by " +
			at.command())
	case errors.Is(err, keyring.ErrExpired):
		return Secret{}, errors.New("was sealed with a key that was revoked, or in another farm: set it again by " +
			at.command())
	case err != nil:
		return Secret{}, err
	}
	if len(inner) > 0 && inner[0] == innerOuter {
		if inner, err = k.openOuter(inner, bound(at, fingerprint)); err != nil {
			return Secret{}, err
		}
	}
	if len(inner) == 0 || inner[0] != innerPlain {
		return Secret{}, errors.New("was sealed by a newer version of the program")
	}
	return of(value{text: string(inner[1:]), fingerprint: fingerprint}), nil
}

// command is what sets a secret.
func (p Place) command() string { return "farmctl config secret " + p.Config + " " + p.Field }

// Plaintext says what to do about a secret that stands in a file as it is.
func (p Place) Plaintext() string {
	return "is a secret in plain text, which would lie in the log, in its history and in backups: take it out of " +
		"the file, and set it by " + p.command() + ", which puts it there sealed"
}

func (k *Keys) openOuter(b, additional []byte) ([]byte, error) {
	for _, o := range k.outer {
		if o.made(b) {
			return o.open(b, additional)
		}
	}
	which := ""
	if len(b) > tagSize {
		which = " " + hex.EncodeToString(b[1:1+tagSize])
	}
	return nil, fmt.Errorf("is sealed with the operators' key%s too, which this node was not given: see "+
		"FARM_CONFIG_KEY_FILE", which)
}

// bound is what is authenticated with a secret.
func bound(at Place, fingerprint string) []byte {
	return []byte(at.Config + "\x00" + at.Field + "\x00" + fingerprint) // no name of a config has NUL
}

// fingerprintOf is of the field, too, so that nobody sees where a text stands twice.
func fingerprintOf(key []byte, at Place, text string) string {
	h := hmac.New(sha256.New, key)
	h.Write(bound(at, text))
	return hex.EncodeToString(h.Sum(nil)[:fpBytes])
}

// What is within what the key ring protects begins with one of these.
const (
	innerPlain byte = 0 // the text follows
	innerOuter byte = 1 // tag of the operators' key (4 bytes), salt (16), AES-256-GCM of another one of these
)

// outer is a key of the operators'.
type outer struct {
	key []byte
	tag [tagSize]byte
}

const (
	tagSize  = 4
	saltSize = 16
	headSize = 1 + tagSize + saltSize
)

// newOuter returns a key made of text with enough chance in it.
func newOuter(text string) outer {
	o := outer{key: derive([]byte(text), nil, "webfarm config key 1", 32)}
	copy(o.tag[:], derive(o.key, nil, "webfarm config key fingerprint", tagSize))
	return o
}

func derive(secret, salt []byte, info string, n int) []byte {
	b, err := hkdf.Key(sha256.New, secret, salt, info, n)
	if err != nil {
		panic(fmt.Sprintf("configsync: %d bytes of HKDF: %v", n, err)) // only for more than 8160
	}
	return b
}

func (o outer) made(b []byte) bool { return len(b) >= headSize && [tagSize]byte(b[1:]) == o.tag }

// cipher returns the cipher and the nonce of one message: each has a key of its own.
func (o outer) cipher(salt []byte) (cipher.AEAD, []byte) {
	okm := derive(o.key, salt, "webfarm config secret", 32+12)
	block, err := aes.NewCipher(okm[:32])
	if err != nil {
		panic(fmt.Sprintf("configsync: AES-256: %v", err)) // of a key of any other length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(fmt.Sprintf("configsync: GCM: %v", err))
	}
	return aead, okm[32:]
}

func (o outer) seal(inner, additional []byte) []byte {
	b := make([]byte, headSize, headSize+len(inner)+16)
	b[0] = innerOuter
	copy(b[1:], o.tag[:])
	rand.Read(b[1+tagSize:])
	aead, nonce := o.cipher(b[1+tagSize:])
	return aead.Seal(b, nonce, inner, additional)
}

func (o outer) open(b, additional []byte) ([]byte, error) {
	aead, nonce := o.cipher(b[1+tagSize : headSize])
	inner, err := aead.Open(nil, nonce, b[headSize:], additional)
	if err != nil {
		return nil, errors.New("does not open with the operators' key")
	}
	return inner, nil
}
