package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

func (t *knownTokens) len() (n int) {
	if slots := t.slots.Load(); slots != nil {
		for i := range slots {
			if slots[i].token.Load() != nil {
				n++
			}
		}
	}
	return n
}

// knows reports whether the next reading of a token costs no MAC.
func (s *signer) knows(t testing.TB, text string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	tail := tokenTail(raw[randomLen:])
	return s.known.find(&tail, s.key(1).number) != nil
}

func TestKnownToken(t *testing.T) {
	s := newSigner()
	sec := newSecret()
	text, _ := s.mintToken(sec, time.Unix(1_700_000_000, 0), 1)
	if s.known.slots.Load() != nil || s.knows(t, text) {
		t.Fatal("known before it was seen")
	}
	s.readToken(text)
	if s.knows(t, text) {
		t.Error("known after it was seen once")
	}
	first, _ := s.readToken(text)
	if !s.knows(t, text) {
		t.Fatal("not known after it was seen twice")
	}
	again, ok := s.readToken(text)
	if !ok || again.key != first.key || !again.issued.Equal(first.issued) {
		t.Errorf("first %+v, then %+v, %v", first, again, ok)
	}
	// Its MAC with another random part, and the other way round.
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	other, _ := s.mintToken(newSecret(), time.Unix(1_700_000_000, 0), 1)
	foreign, _ := base64.RawURLEncoding.DecodeString(other)
	for _, mixed := range [][]byte{append(foreign[:randomLen:randomLen], raw[randomLen:]...),
		append(raw[:randomLen:randomLen], foreign[randomLen:]...)} {
		if _, ok := s.readToken(base64.RawURLEncoding.EncodeToString(mixed)); ok {
			t.Error("the parts of two tokens make one")
		}
	}
	// Nobody who reads this node's memory finds what would make a token.
	e := first.known
	if all := bytes.Join([][]byte{e.tail[:], e.key[:], e.index[:], []byte(e.cluster)}, nil); bytes.Contains(all, sec[:8]) {
		t.Error("what is remembered holds a part of the secret")
	}
}

// What has not passed as genuine is not remembered, and pushes nothing out: not even where the forger chose the slot.
func TestForgedTokensPushNothingOut(t *testing.T) {
	s := newSigner()
	var texts []string
	for len(texts) < 50 {
		text, _ := s.mintToken(newSecret(), time.Now(), 1)
		s.readToken(text)
		s.readToken(text)
		texts = append(texts, text)
	}
	texts = slices.DeleteFunc(texts, func(text string) bool { return !s.knows(t, text) }) // another took its slot
	n := s.known.len()
	random := rand.NewChaCha8([32]byte{1})
	for i := range 10_000 {
		raw, _ := base64.RawURLEncoding.DecodeString(texts[i%len(texts)])
		random.Read(raw[:randomLen])
		if i%2 == 0 {
			random.Read(raw[tokenLen-macLen+2:])
		}
		if _, ok := s.readToken(base64.RawURLEncoding.EncodeToString(raw)); ok {
			t.Fatal("forged")
		}
	}
	for _, text := range texts {
		if !s.knows(t, text) {
			t.Error("a token was forgotten")
		}
	}
	if got := s.known.len(); got != n || n < 40 {
		t.Errorf("%d remembered, want %d", got, n)
	}
}

// Genuine tokens that come once push nothing out, however many.
func TestStrangersPushNothingOut(t *testing.T) {
	s := newSigner()
	text, _ := s.mintToken(newSecret(), time.Now(), 1)
	s.readToken(text)
	s.readToken(text)
	for range 3 * knownSlots {
		stranger, _ := s.mintToken(newSecret(), time.Now(), 1)
		if _, ok := s.readToken(stranger); !ok {
			t.Fatal("refused")
		}
	}
	if n := s.known.len(); n != 1 || !s.knows(t, text) {
		t.Errorf("%d are known", n)
	}
}

func TestKnownTokensAreBounded(t *testing.T) {
	s := newSigner()
	texts := make([]string, 3*knownSlots)
	for i := range texts {
		texts[i], _ = s.mintToken(newSecret(), time.Now(), 1)
	}
	for range 2 {
		for _, text := range texts {
			_, once := s.readToken(text)
			_, twice := s.readToken(text)
			if !once || !twice {
				t.Fatal("refused")
			}
		}
	}
	if n := s.known.len(); n > knownSlots || n < knownSlots*9/10 {
		t.Errorf("%d of %d slots in use", n, knownSlots)
	}
}

// A key that the ring has dropped goes here too, with all that it signed, and does not come back with its id.
func TestDroppedKeys(t *testing.T) {
	ring := ringOf{1: []byte("one"), 2: []byte("two")}
	s := &signer{ring: ring}
	sec := newSecret()
	one, _ := s.mintToken(sec, time.Now(), 1)
	two, _ := s.mintToken(sec, time.Now(), 2)
	for _, text := range []string{one, one, two, two} {
		s.readToken(text)
	}
	if s.known.len() == 0 {
		t.Fatal("none is known")
	}
	delete(ring, 1)
	ring[3] = []byte("three")
	if _, ok := s.readToken(one); ok {
		t.Error("signed by a key that was dropped, and accepted")
	}
	s.mintToken(sec, time.Now(), 3)
	if keys := *s.keys.Load(); keys[1] != nil || keys[2] == nil || keys[3] == nil {
		t.Errorf("keys %v", keys)
	}
	if _, ok := s.readToken(two); !ok {
		t.Error("signed by a key that is still there, and refused")
	}
	ring[1], ring[2] = []byte("another one"), []byte("another two")
	if _, ok := s.readToken(one); ok {
		t.Error("a new key of an old id accepts what the old one signed")
	}
	if k := (*s.keys.Load())[2]; k != nil {
		t.Error("a key that the ring has replaced is still there")
	}
}

type ringOf map[uint32][]byte

func (r ringOf) Current(string) (uint32, []byte, bool) { return 1, r[1], r[1] != nil }

func (r ringOf) Key(_ string, id uint32) ([]byte, bool) { return r[id], r[id] != nil }

func (r ringOf) Await(context.Context, string, uint32) error { return nil }

// Many requests of many sessions share the slots.
func TestKnownTokensConcurrently(t *testing.T) {
	s := newSigner()
	type pair struct {
		token, index string
		key          StoreKey
	}
	pairs := make([]pair, 300)
	for i := range pairs {
		sec := newSecret()
		p := &pairs[i]
		p.key = sec.key()
		p.token, _ = s.mintToken(sec, time.Now(), 1)
		p.index, _ = s.mintIndex(uint64(i+1), p.key, "c")
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 3 * len(pairs) {
				n := (i/3*7 + w*13) % len(pairs) // three times each
				p := &pairs[n]
				g, ok := s.readToken(p.token)
				if !ok || g.key != p.key {
					t.Errorf("token %d: %v", n, ok)
				}
				if got := s.readIndex(p.index, &g, "c"); got != uint64(n+1) {
					t.Errorf("index %d: %d", n, got)
				}
				if got := s.readIndex(p.index, &g, "d"); got != 0 {
					t.Errorf("index %d of another cluster: %d", n, got)
				}
			}
		})
	}
	wg.Wait()
}

// A hasher that goes back to its pool has nothing of the token in it.
func TestHashersForget(t *testing.T) {
	if race.Enabled {
		t.Skip("pools drop what they hold")
	}
	s := newSigner()
	k, sec := s.key(1), newSecret()
	var mac [macLen]byte
	k.sum(mac[:], sec[:], "")
	h := k.hashers.Get().(*hasher)
	if bytes.Contains(h.msg[:cap(h.msg)], sec[:8]) {
		t.Error("the secret is still there")
	}
	h.mac.Write([]byte("message"))
	if got, want := h.mac.Sum(nil), hmacOf(k.secret, "message"); !bytes.Equal(got, want) {
		t.Error("a used hasher computes something else")
	}
}

// hmacOf is HMAC-SHA256 in the words of RFC 2104.
func hmacOf(key []byte, msg string) []byte {
	inner, outer := bytes.Repeat([]byte{0x36}, sha256.BlockSize), bytes.Repeat([]byte{0x5c}, sha256.BlockSize)
	for i, b := range key {
		inner[i] ^= b
		outer[i] ^= b
	}
	sum := sha256.Sum256(append(inner, msg...))
	sum = sha256.Sum256(append(outer, sum[:]...))
	return sum[:]
}

// The name of the cluster is asked for once a second by the machine's clock; and when that is another machine's.
func TestClusterIDIsAskedForAnew(t *testing.T) {
	asked := 0
	r := &replicated{cluster: func() string { asked++; return "c" }}
	t0 := time.Now()
	for i, c := range []struct {
		now  time.Time
		want int
	}{{t0, 1}, {t0.Add(999 * time.Millisecond), 1}, {t0.Add(time.Second), 2}, {t0.Add(-time.Hour), 3}, {time.Time{}, 4}, {time.Time{}, 4}} {
		if r.clusterID(c.now); asked != c.want {
			t.Errorf("call %d: asked %d times, want %d", i, asked, c.want)
		}
	}
}
