package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"
)

// A token is what the client holds: 24 random bytes, the time of issue, the id of the signing key, and 16 bytes of
// HMAC-SHA256 over the rest; in base64url, without padding. The store knows a session only by a hash of the random bytes.
const (
	randomLen = 24
	macLen    = 16
	bodyLen   = randomLen + 4 + 4
	tokenLen  = bodyLen + macLen
	tokenText = tokenLen / 3 * 4 // 64 characters
)

// secret is the random part of a token.
type secret [randomLen]byte

func newSecret() (s secret) {
	rand.Read(s[:])
	return s
}

// key returns the name of the session in the store. 192 random bits make searching for its origin hopeless.
func (s *secret) key() (k StoreKey) {
	sum := sha256.Sum256(s[:])
	copy(k[:], sum[:])
	return k
}

// tokenBuffer is where a token or an index is decoded: hash.Hash is an interface, so what is written to one lives on the heap.
type tokenBuffer struct {
	text  [tokenText]byte
	msg   [1 + tokenLen]byte
	bound []byte // of an index
}

var tokenBuffers = sync.Pool{New: func() any { return new(tokenBuffer) }}

// genuine is what a token says once its signature has been verified.
type genuine struct {
	key    StoreKey
	issued time.Time // whole seconds
}

// mintToken returns the text of a token, signed by the key of that id; false if the ring has no such key any more.
func (s *signer) mintToken(sec secret, issued time.Time, keyID uint32) (string, bool) {
	msg := make([]byte, 1, 1+tokenLen)
	msg[0] = labelToken
	msg = append(msg, sec[:]...)
	msg = binary.BigEndian.AppendUint32(msg, uint32(issued.Unix()))
	msg = binary.BigEndian.AppendUint32(msg, keyID)
	mac := msg[len(msg) : len(msg)+macLen]
	if !s.sum(mac, keyID, msg) {
		return "", false
	}
	return base64.RawURLEncoding.EncodeToString(msg[1 : 1+tokenLen]), true
}

// readToken verifies a token. It costs one MAC, and no allocation.
func (s *signer) readToken(text string) (g genuine, ok bool) {
	if len(text) != tokenText {
		return g, false
	}
	b := tokenBuffers.Get().(*tokenBuffer)
	defer tokenBuffers.Put(b)
	copy(b.text[:], text)
	b.msg[0] = labelToken
	if n, err := base64.RawURLEncoding.Decode(b.msg[1:], b.text[:]); err != nil || n != tokenLen {
		return g, false
	}
	body, mac := b.msg[:1+bodyLen], b.msg[1+bodyLen:]
	keyID := binary.BigEndian.Uint32(body[1+randomLen+4:])
	if !s.verify(mac, keyID, body) {
		return g, false
	}
	g.key = (*secret)(body[1:]).key()
	g.issued = time.Unix(int64(binary.BigEndian.Uint32(body[1+randomLen:])), 0)
	return g, true
}

// looksLikeToken reports whether text has the form of a token, genuine or not.
func looksLikeToken(text string) bool {
	if len(text) != tokenText {
		return false
	}
	for i := range len(text) {
		if c := text[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
