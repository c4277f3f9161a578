package session

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

func newSigner() *signer { return &signer{ring: newProcessKeys()} }

func TestToken(t *testing.T) {
	s := newSigner()
	sec, issued := newSecret(), time.Unix(1_700_000_000, 0)
	text, ok := s.mintToken(sec, issued, 1)
	if !ok || len(text) != tokenText {
		t.Fatalf("token %q, %v", text, ok)
	}
	s.readToken(text)
	g, ok := s.readToken(text) // from now on it is known
	if !ok || g.known == nil || g.key != sec.key() || !g.issued.Equal(issued) {
		t.Fatalf("read %+v, %v", g, ok)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x10
		if _, ok := s.readToken(base64.RawURLEncoding.EncodeToString(bad)); ok {
			t.Errorf("byte %d changed, and accepted", i)
		}
	}
	if _, ok := newSigner().readToken(text); ok {
		t.Error("accepted with another key")
	}
	if _, ok := s.mintToken(sec, issued, 2); ok {
		t.Error("signed with a key that does not exist")
	}
	if key := sec.key(); bytes.Contains(raw, key[:]) {
		t.Error("the token contains the store's key")
	}
	// Signatures of one kind do not serve as the other.
	if i := s.readIndex(text[:indexText], &g, "c"); i != 0 {
		t.Errorf("a token as an index: %d", i)
	}
}

// genuineOf is what readToken says of a known token for that key.
func (s *signer) genuineOf(key StoreKey) *genuine {
	var tail tokenTail
	s.known.passed(&tail, key, 1)
	return &genuine{key: key, known: s.known.passed(&tail, key, 1)}
}

func TestIndexIsBound(t *testing.T) {
	s := newSigner()
	sec := newSecret()
	key, of, other := sec.key(), s.genuineOf(sec.key()), s.genuineOf(StoreKey{1})
	text, ok := s.mintIndex(1<<40, key, "cluster")
	if !ok || len(text) != indexText {
		t.Fatalf("index %q, %v", text, ok)
	}
	if i := s.readIndex(text, of, "cluster"); i != 1<<40 {
		t.Errorf("read %d", i)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	for b := range raw {
		bad := bytes.Clone(raw)
		bad[b] ^= 0x10
		if i := s.readIndex(base64.RawURLEncoding.EncodeToString(bad), of, "cluster"); i != 0 {
			t.Errorf("byte %d changed, and believed: %d", b, i)
		}
	}
	for _, i := range []uint64{s.readIndex(text, other, "cluster"), s.readIndex(text, of, "another"), s.readIndex(text, of, ""),
		s.readIndex(text[1:], of, "cluster"), s.readIndex("", of, "cluster")} {
		if i != 0 {
			t.Errorf("believed %d", i)
		}
	}
}

func TestReadTokenAllocatesNothing(t *testing.T) {
	s := newSigner()
	text, _ := s.mintToken(newSecret(), time.Now(), 1)
	forged := text[:20] + "AAAA" + text[24:]
	for name, text := range map[string]string{"genuine": text, "forged": forged, "short": text[1:]} {
		if n := ci.Allocs(100, 0, func() { s.readToken(text) }); n > 0.5 && !race.Enabled {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestSignerFollowsTheRing(t *testing.T) {
	ring := &oneKey{key: []byte("first first first first")}
	s := &signer{ring: ring}
	text, _ := s.mintToken(newSecret(), time.Now(), 5)
	s.readToken(text)
	g, ok := s.readToken(text)
	index, _ := s.mintIndex(9, g.key, "c")
	if i := s.readIndex(index, &g, "c"); !ok || i != 9 || g.known == nil || g.known.index == [indexLen]byte{} {
		t.Fatalf("%v, index %d", ok, i)
	}
	ring.key = []byte("other other other other") // the same id, after a restore: another key
	if _, ok := s.readToken(text); ok {
		t.Error("the old key is still in use")
	}
	if i := s.readIndex(index, &g, "c"); i != 0 {
		t.Error("the old key is still in use for indexes")
	}
	ring.key = nil
	if _, ok := s.readToken(text); ok {
		t.Error("accepted without a key")
	}
	if i := s.readIndex(index, &g, "c"); i != 0 {
		t.Error("an index was accepted without a key")
	}
	var wg sync.WaitGroup
	ring.key = []byte("first first first first")
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if _, ok := s.readToken(text); !ok {
					t.Error("refused")
				}
			}
		})
	}
	wg.Wait()
}

type oneKey struct{ key []byte }

func (k *oneKey) Current(string) (uint32, []byte, bool)        { return 5, k.key, k.key != nil }
func (k *oneKey) Key(purpose string, id uint32) ([]byte, bool) { return k.key, k.key != nil && id == 5 }

func (k *oneKey) Await(context.Context, string, uint32) error { return nil }

func FuzzReadToken(f *testing.F) {
	s := newSigner()
	text, _ := s.mintToken(newSecret(), time.Now(), 1)
	s.readToken(text)
	s.readToken(text) // from now on it is known
	f.Add(text)
	f.Add("")
	f.Fuzz(func(t *testing.T, in string) {
		if _, ok := s.readToken(in); ok && in != text {
			t.Errorf("forged: %q", in)
		}
		if i := s.readIndex(in, s.genuineOf(StoreKey{}), "c"); i != 0 {
			t.Errorf("forged: %q", in)
		}
	})
}

func FuzzCandidates(f *testing.F) {
	f.Add("a=b; sid=x; sid=\"y\"", "sid")
	f.Add("sid=; \tsid=x\t ;sidx=1;sid", "sid")
	f.Fuzz(func(t *testing.T, line, name string) {
		var o offer
		o.cookies(map[string][]string{"Cookie": {line, line}}, name, name+"-six")
		for _, c := range []*candidates{&o.tokens, &o.indexes} {
			for _, v := range c.all() {
				if !strings.Contains(line, v) {
					t.Errorf("made up %q", v)
				}
			}
		}
		if want := slowCandidates(line, name); !slices.Equal(o.tokens.all(), want) {
			t.Errorf("%q in %q: %q, want %q", name, line, o.tokens.all(), want)
		}
	})
}

// slowCandidates says in other words what the values of a name are in a header of twice the same line.
func slowCandidates(line, name string) (values []string) {
	for range 2 {
		for pair := range strings.SplitSeq(line, ";") {
			value, ok := strings.CutPrefix(strings.TrimLeft(pair, " \t"), name+"=")
			if ok && len(values) < maxCandidates {
				values = append(values, unquote(strings.TrimRight(value, " \t")))
			}
		}
	}
	return values
}
