package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
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

// genuine is what a token says once its signature has been verified.
type genuine struct {
	key    StoreKey
	issued time.Time // whole seconds
	known  *known    // nil if it is not
}

// mintToken returns the text of a token, signed by the key of that id; false if the ring has no such key any more.
func (s *signer) mintToken(sec secret, issued time.Time, keyID uint32) (string, bool) {
	msg := make([]byte, 1, 1+tokenLen)
	msg[0] = labelToken
	msg = append(msg, sec[:]...)
	msg = binary.BigEndian.AppendUint32(msg, uint32(issued.Unix()))
	msg = binary.BigEndian.AppendUint32(msg, keyID)
	k := s.key(keyID)
	if k == nil {
		return "", false
	}
	k.sum(msg[len(msg):len(msg)+macLen], msg, "")
	return base64.RawURLEncoding.EncodeToString(msg[1 : 1+tokenLen]), true
}

// readToken verifies a token. A forged one costs one MAC and no allocation; a genuine one costs the same at first, and
// only the hash of its random part once it is known.
func (s *signer) readToken(text string) (g genuine, ok bool) {
	var msg [1 + tokenLen]byte
	msg[0] = labelToken
	if !decodeText(msg[1:], text) {
		return g, false
	}
	random, tail := (*secret)(msg[1:]), (*tokenTail)(msg[1+randomLen:])
	k := s.key(binary.BigEndian.Uint32(tail[4:]))
	if k == nil {
		return g, false
	}
	if g.known = s.known.find(tail, k.number); g.known != nil {
		g.key = random.key()
		ok = g.key == g.known.key
	}
	if !ok {
		if !k.verify(msg[1+bodyLen:], msg[:1+bodyLen], "") {
			return genuine{}, false
		}
		g.key = random.key()
		g.known = s.known.passed(tail, g.key, k.number)
	}
	g.issued = time.Unix(int64(binary.BigEndian.Uint32(tail[:])), 0)
	return g, true
}

// lacks reports whether text may be a token that a key signed which this node does not have, and its id.
func (s *signer) lacks(text string) (id uint32, lacks bool) {
	var raw [tokenLen]byte
	if !decodeText(raw[:], text) {
		return 0, false
	}
	id = binary.BigEndian.Uint32(raw[randomLen+4:])
	return id, s.key(id) == nil
}

// decodeText decodes text if that fills raw.
func decodeText(raw []byte, text string) bool {
	if len(text) != base64.RawURLEncoding.EncodedLen(len(raw)) {
		return false
	}
	n, err := base64.RawURLEncoding.Decode(raw, []byte(text))
	return err == nil && n == len(raw) // line ends are skipped
}
