package blob

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkPut stores blobs of 10 kB: durably one by one, many with one Sync, and as plain files that are not
// synced.
func BenchmarkPut(b *testing.B) {
	const size = 10_000
	data := make([]byte, size)
	n := uint64(0)
	next := func() *bytes.Reader {
		n++
		binary.LittleEndian.PutUint64(data, n)
		return bytes.NewReader(data)
	}
	ctx := context.Background()
	b.Run("one by one", func(b *testing.B) {
		s := openStore(b, StoreConfig{Dir: b.TempDir()})
		b.SetBytes(size)
		for b.Loop() {
			if _, err := s.Put(ctx, Hash{}, next()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		s := openStore(b, StoreConfig{Dir: b.TempDir()})
		b.SetBytes(size)
		for b.Loop() {
			if _, err := s.Add(ctx, Hash{}, next()); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Sync(); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("plain files", func(b *testing.B) {
		dir := b.TempDir()
		b.SetBytes(size)
		for b.Loop() {
			next()
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), data, 0o600); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen opens a blob of 10 kB that was verified before, and closes it.
func BenchmarkOpen(b *testing.B) {
	s := openStore(b, StoreConfig{Dir: b.TempDir()})
	refs := fill(b, s, 100, 10_000)
	i := 0
	for b.Loop() {
		f, _, err := s.Open(refs[i%len(refs)].Hash)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
		i++
	}
}

// BenchmarkMissing asks for 10,000 blobs, all of which are there.
func BenchmarkMissing(b *testing.B) {
	s := openStore(b, StoreConfig{})
	refs := fill(b, s, 10_000, 10)
	for b.Loop() {
		if m := s.Missing(refs); len(m) > 0 {
			b.Fatal(len(m))
		}
	}
}
