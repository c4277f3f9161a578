package session

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
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

	// Await is called when Key has none. It returns nil once Key tells the truth about that id: there is no such
	// key any more, or there never was, or it has come by now. An error says that this cannot be known at the
	// moment: this node may lack a key that others have. It returns soon where an id can be made up by anybody.
	Await(ctx context.Context, purpose string, id uint32) error
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

func (k processKeys) Await(context.Context, string, uint32) error { return nil }

// signer computes HMAC-SHA256 with the keys of a ring. It keeps keyed hashers for use again, because setting one up
// costs more than hashing a token.
type signer struct {
	ring  Keys
	known knownTokens

	mu   sync.Mutex
	keys atomic.Pointer[map[uint32]*macKey] // replaced under mu, never edited
	made uint64                             // keys so far
}

type macKey struct {
	number  uint64 // not 0, and no other key's: not even that of a key which had the same id before
	secret  []byte
	hashers sync.Pool // of *hasher
}

// hasher has room for what goes in and comes out: hash.Hash is an interface, so both must live on the heap.
type hasher struct {
	mac hash.Hash
	msg []byte
	sum [sha256.Size]byte
}

// current returns the id of the key that signs now.
func (s *signer) current() (id uint32, ok bool) {
	id, _, ok = s.ring.Current(KeyPurpose)
	return id, ok
}

// key returns the key of that id, or nil if the ring has none (any more).
func (s *signer) key(id uint32) *macKey {
	secret, ok := s.ring.Key(KeyPurpose, id)
	if !ok {
		return nil
	}
	if keys := s.keys.Load(); keys != nil {
		if k := (*keys)[id]; k != nil && bytes.Equal(k.secret, secret) {
			return k
		}
	}
	return s.addKey(id, secret)
}

// addKey takes a key of the ring in, and drops those that the ring has dropped.
func (s *signer) addKey(id uint32, secret []byte) *macKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[uint32]*macKey{}
	if keys := s.keys.Load(); keys != nil {
		for old, k := range *keys {
			if now, ok := s.ring.Key(KeyPurpose, old); ok && bytes.Equal(k.secret, now) {
				next[old] = k
			}
		}
	}
	if k := next[id]; k != nil && bytes.Equal(k.secret, secret) {
		return k // another goroutine was faster
	}
	s.made++
	secret = bytes.Clone(secret)
	k := &macKey{number: s.made, secret: secret}
	k.hashers.New = func() any { return &hasher{mac: hmac.New(sha256.New, secret)} }
	next[id] = k
	s.keys.Store(&next)
	return k
}

// sum writes the beginning of the MAC of head and tail into out.
func (k *macKey) sum(out []byte, head []byte, tail string) {
	h := k.hashers.Get().(*hasher)
	h.msg = append(append(h.msg[:0], head...), tail...)
	h.mac.Write(h.msg)
	h.mac.Sum(h.sum[:0])
	copy(out, h.sum[:])
	clear(h.msg)
	h.mac.Reset() // now, so that nothing of a token stays in it
	k.hashers.Put(h)
}

// verify reports whether mac is what sum makes of head and tail. It takes the same time wherever they differ.
func (k *macKey) verify(mac []byte, head []byte, tail string) bool {
	var want [sha256.Size]byte
	k.sum(want[:len(mac)], head, tail)
	return hmac.Equal(mac, want[:len(mac)])
}
