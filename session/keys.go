package session

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"maps"
	"sync"
	"sync/atomic"
)

// Keys is a ring of secret keys, shared by all nodes. Its methods are called on every request that carries a token, from
// many goroutines.
type Keys interface {
	// Current returns the key that signs now; ok is false if this node has none yet.
	Current(purpose string) (id uint32, key []byte, ok bool)

	// Key returns the key of that id, which signed something once and may still be accepted.
	Key(purpose string, id uint32) (key []byte, ok bool)
}

// KeyPurpose is the purpose for which this package asks Keys: the ring must be made to have a key for it.
const KeyPurpose = "session"

// What is signed begins with one of these, so that no signature fits anything else.
const (
	labelToken byte = 1
	labelIndex byte = 2
)

// processKeys is a ring of one random key, which ends with the process.
type processKeys struct{ key []byte }

func newProcessKeys() processKeys {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	return processKeys{key}
}

func (k processKeys) Current(string) (uint32, []byte, bool) { return 1, k.key, true }

func (k processKeys) Key(_ string, id uint32) ([]byte, bool) { return k.key, id == 1 }

// signer computes HMAC-SHA256 with the keys of a ring. It keeps keyed hashers for use again, because setting one up
// costs more than hashing a token.
type signer struct {
	ring Keys

	mu   sync.Mutex
	keys atomic.Pointer[map[uint32]*macKey] // replaced under mu, never edited
}

type macKey struct {
	secret  []byte
	hashers sync.Pool // of *hasher
}

type hasher struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

// current returns the id of the key that signs now.
func (s *signer) current() (id uint32, ok bool) {
	id, _, ok = s.ring.Current(KeyPurpose)
	return id, ok
}

// sum writes the beginning of the MAC of msg into out. It returns false if there is no key of that id.
func (s *signer) sum(out []byte, id uint32, msg []byte) bool {
	secret, ok := s.ring.Key(KeyPurpose, id)
	if !ok {
		return false
	}
	k := s.key(id, secret)
	h := k.hashers.Get().(*hasher)
	h.mac.Reset()
	h.mac.Write(msg)
	h.mac.Sum(h.sum[:0])
	copy(out, h.sum[:])
	k.hashers.Put(h)
	return true
}

// verify reports whether mac is what sum makes of msg. It takes the same time wherever they differ.
func (s *signer) verify(mac []byte, id uint32, msg []byte) bool {
	var want [sha256.Size]byte
	return s.sum(want[:len(mac)], id, msg) && hmac.Equal(mac, want[:len(mac)])
}

func (s *signer) key(id uint32, secret []byte) *macKey {
	if keys := s.keys.Load(); keys != nil {
		if k := (*keys)[id]; k != nil && bytes.Equal(k.secret, secret) {
			return k
		}
	}
	return s.addKey(id, secret)
}

func (s *signer) addKey(id uint32, secret []byte) *macKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[uint32]*macKey{}
	if keys := s.keys.Load(); keys != nil {
		next = maps.Clone(*keys)
	}
	secret = bytes.Clone(secret)
	k := &macKey{secret: secret}
	k.hashers.New = func() any { return &hasher{mac: hmac.New(sha256.New, secret)} }
	next[id] = k
	s.keys.Store(&next)
	return k
}
