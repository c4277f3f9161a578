package blob

import (
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
)

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

// fill puts count blobs of so many bytes, and returns what they are.
func fill(t testing.TB, s *Store, count, size int) (refs []Ref) {
	t.Helper()
	for _, h := range blobtest.Fill(t, s, count, size) {
		refs = append(refs, Ref{Hash: h, Size: int64(size)})
	}
	return refs
}

func read(s *Store, h Hash) ([]byte, error) {
	f, size, err := s.Open(h)
	return blobtest.Read(f, size, err)
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
