// Package blobtest has what the tests of package blob and those of its swarm share. It does not know
// package blob, whose own tests use it: what is about a store takes any.
package blobtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Patience is for what should take no time.
const Patience = 2 * time.Minute

// Context returns a context that ends with the test, or after Patience.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Random returns bytes that are the same for the same seed.
func Random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

// Sink is a store with hashes of type H.
type Sink[H any] interface {
	Add(ctx context.Context, want H, r io.Reader) (H, error)
	Sync() error
}

// Fill puts count random blobs of so many bytes, and returns what they are.
func Fill[H any](t testing.TB, s Sink[H], count, size int) []H {
	t.Helper()
	all := make([]H, count)
	for i := range all {
		var any H
		var err error
		if all[i], err = s.Add(context.Background(), any, bytes.NewReader(Random(uint64(i)+1, size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Read returns an open blob, and closes it: Read(store.Open(hash)).
func Read(f interface {
	io.ReaderAt
	io.Closer
}, size int64, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	return b, err
}

// Damage changes a byte of a blob on the disk, in the folder of a store and behind the store's back, and returns the
// name of the file: the blob's, or that of the pack which has it. hash is in hexadecimal digits.
func Damage(t testing.TB, dir, hash string) string {
	t.Helper()
	name := filepath.Join(dir, "sha256", hash[:2], hash[2:])
	b, err := os.ReadFile(name)
	from, size := 0, len(b)
	if errors.Is(err, fs.ErrNotExist) {
		name, b, from, size, err = inPack(dir, hash)
	}
	if err == nil {
		b[from+size/2] ^= 0x10
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// inPack finds a blob in the packs of a store: the file's name, all of its bytes, and where the blob is in them.
func inPack(dir, hash string) (name string, b []byte, from, size int, err error) {
	want, err := hex.DecodeString(hash)
	if err != nil {
		return "", nil, 0, 0, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "packs", "*"))
	if err != nil {
		return "", nil, 0, 0, err
	}
	const row, foot = 32 + 4, 16 + 4
	for _, name := range names {
		if b, err = os.ReadFile(name); err != nil {
			return "", nil, 0, 0, err
		}
		rows := int(binary.BigEndian.Uint32(b[len(b)-4:]))
		from := 16
		for table := b[len(b)-foot-rows*row : len(b)-foot]; len(table) > 0; table = table[row:] {
			size := int(binary.BigEndian.Uint32(table[32:]))
			if bytes.Equal(table[:32], want) {
				return name, b, from, size, nil
			}
			from += size
		}
	}
	return "", nil, 0, 0, fmt.Errorf("%s is neither a file nor in a pack", hash)
}
