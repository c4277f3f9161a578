package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// What is protected is
//
//	format (1 byte, 1), id of the key (4 bytes, big endian), beginning of the key's fingerprint (4 bytes),
//	salt (16 random bytes), AES-256-GCM: the plaintext's length and 16 bytes
//
// Each message has a key and a nonce of its own: 32 and 12 bytes of HKDF-SHA256 over the ring's key, with the
// salt, and with the labels of the purpose as its info. So no number of messages wears a key out. The
// additional data of GCM is the header of 25 bytes, and then the caller's.
const (
	protectFormat = 1
	tagSize       = 4
	saltSize      = 16
	protectHead   = 1 + 4 + tagSize + saltSize
	nonceSize     = 12
	sealSize      = 16

	// Overhead is by how many bytes what Protect returns is longer than what it was given.
	Overhead = protectHead + sealSize
)

// Protect returns plaintext encrypted and authenticated by the key that signs now, for Unprotect of the same
// purpose and with the same additional data, on any node of the farm. additional is authenticated and not
// included: what the message belongs to, such as the visitor's name; nil is as good as empty. No two calls
// return the same.
//
// The error is ErrNotYet on a node that has no key yet.
func (p *Purpose) Protect(plaintext, additional []byte) ([]byte, error) {
	id, root, ok := p.ring.Current(p.root)
	if !ok {
		return nil, fmt.Errorf("%w: none of %q signs", ErrNotYet, p.root)
	}
	b := make([]byte, protectHead, protectHead+len(plaintext)+sealSize)
	b[0] = protectFormat
	binary.BigEndian.PutUint32(b[1:], id)
	tag := tagOf(root)
	copy(b[5:], tag[:])
	rand.Read(b[5+tagSize:])
	aead, nonce := p.seal(root, b[5+tagSize:])
	return aead.Seal(b, nonce, plaintext, bound(b, additional)), nil
}

// Unprotect returns what Protect was given. If this node lacks the key it asks the others, for as long as ctx
// allows.
//
// Errors: ErrForged, ErrExpired, ErrNotYet; they say what they mean.
func (p *Purpose) Unprotect(ctx context.Context, protected, additional []byte) ([]byte, error) {
	if len(protected) < Overhead || protected[0] != protectFormat {
		return nil, fmt.Errorf("%w: not of the form that Protect writes", ErrForged)
	}
	head, sealed := protected[:protectHead], protected[protectHead:]
	root, err := p.rootOf(ctx, binary.BigEndian.Uint32(head[1:]))
	if err != nil {
		return nil, err
	}
	if tag := tagOf(root); subtle.ConstantTimeCompare(tag[:], head[5:5+tagSize]) == 0 {
		return nil, fmt.Errorf("%w: this farm's key of that id is another one", ErrExpired)
	}
	aead, nonce := p.seal(root, head[5+tagSize:])
	plaintext, err := aead.Open(nil, nonce, sealed, bound(head, additional))
	if err != nil {
		return nil, fmt.Errorf("%w: it does not authenticate", ErrForged)
	}
	return plaintext, nil
}

// KeyOf returns the id of the key by which something was protected, as its first bytes say it; false if it is
// not of the form that Protect writes. Nothing is verified.
func KeyOf(protected []byte) (id uint32, ok bool) {
	if len(protected) < Overhead || protected[0] != protectFormat {
		return 0, false
	}
	return binary.BigEndian.Uint32(protected[1:]), true
}

// rootOf returns the ring's key of that id.
func (p *Purpose) rootOf(ctx context.Context, id uint32) ([]byte, error) {
	root, ok := p.ring.Key(p.root, id)
	if ok {
		return root, nil
	}
	if err := p.ring.Await(ctx, p.root, id); err != nil {
		return nil, err
	}
	if root, ok = p.ring.Key(p.root, id); ok {
		return root, nil
	}
	if id == 0 || id > p.ring.local().Newest(p.root) {
		return nil, fmt.Errorf("%w: there is no key of that id", ErrForged)
	}
	return nil, fmt.Errorf("%w: key %d of %q", ErrExpired, id, p.root)
}

// seal returns the cipher of one message.
func (p *Purpose) seal(root, salt []byte) (aead cipher.AEAD, nonce []byte) {
	okm, err := hkdf.Key(sha256.New, root, salt, "protect\x00"+p.info, Size+nonceSize)
	block, err2 := aes.NewCipher(okm[:Size])
	if err = errors.Join(err, err2); err == nil {
		aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic(fmt.Sprintf("keyring: AES-256-GCM: %v", err)) // of a key of any other length
	}
	return aead, okm[Size:]
}

func tagOf(secret []byte) (t [tagSize]byte) {
	f := fingerprint(secret)
	copy(t[:], f[:])
	return t
}

// bound returns what is authenticated beside the plaintext: the header has one length, so no two pairs
// look the same.
func bound(head, additional []byte) []byte {
	return append(append(make([]byte, 0, len(head)+len(additional)), head...), additional...)
}
