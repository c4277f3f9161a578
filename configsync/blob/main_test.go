package blob

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// patience is for what should take no time.
const patience = 2 * time.Minute

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func openStore(t testing.TB, config StoreConfig) *Store {
	t.Helper()
	if config.Reserve == 0 {
		config.Reserve = -1 // of the disk of whoever runs the tests
	}
	s, err := OpenStore(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// random returns bytes that are the same for the same seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

// fill puts count blobs of so many bytes, and returns what they are.
func fill(t testing.TB, s *Store, count, size int) []Ref {
	t.Helper()
	refs := make([]Ref, count)
	for i := range refs {
		b := random(uint64(i)+1, size)
		h, err := s.Add(context.Background(), Hash{}, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = Ref{Hash: h, Size: int64(size)}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	return refs
}

func read(s *Store, h Hash) ([]byte, error) {
	f, size, err := s.Open(h)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	return b, err
}

// holds fails the test if the store lacks one of refs, or has other bytes.
func holds(t testing.TB, s *Store, refs []Ref) {
	t.Helper()
	if m := s.Missing(refs); len(m) > 0 {
		t.Fatalf("%d of %d are missing", len(m), len(refs))
	}
	for _, r := range refs {
		b, err := read(s, r.Hash)
		if err != nil || Sum(b) != r.Hash {
			t.Fatalf("%v: %d bytes of something else, %v", r.Hash, len(b), err)
		}
	}
}
