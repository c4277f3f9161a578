package content

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

func TestFS(t *testing.T) {
	fsys := files(map[string]string{
		"public/index.html": "<h1>", "public/a-b/x": "1", "public/a/x": "22", "public/a.b": "",
		"public/a/y/z":        long,
		"templates/page.tmpl": "{{.}}",
	})
	fsys["public/nothing/in/here"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	fsys["tools/run"] = &fstest.MapFile{Data: []byte("#!/bin/sh\n"), Mode: 0o755}
	s := newFolder(t)
	got := NewFS(pack(t, s, fsys, PackConfig{}), s)
	expected := []string{"public/index.html", "public/a-b/x", "public/a/x", "public/a.b", "public/a/y/z",
		"templates/page.tmpl",
		"public/nothing/in/here", "tools/run"}
	if err := fstest.TestFS(got, expected...); err != nil {
		t.Fatal(err)
	}
	for _, p := range expected {
		want, _ := fs.ReadFile(fsys, p)
		if b, err := fs.ReadFile(got, p); !bytes.Equal(b, want) || err != nil && p != "public/nothing/in/here" {
			t.Errorf("%s: %q, %v", p, b, err)
		}
	}
	if i, err := fs.Stat(got, "tools/run"); err != nil || i.Mode() != 0o555 {
		t.Errorf("%v, %v", i, err)
	}
	for _, p := range []string{"public/nothing/in/here/x", "public/a/", "/public", "public/../public/a.b",
		"publi", ""} {
		if _, err := got.Open(p); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// A file in chunks reads as one that is not, whatever the way.
func TestChunks(t *testing.T) {
	for name, size := range map[string]int{"whole": WholeSize, "a byte more": WholeSize + 1,
		"full chunks": 3 * ChunkSize, "a rest": 3*ChunkSize + 77} {
		want := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(size)}).Read(want)
		s := newFolder(t)
		m := pack(t, s, fstest.MapFS{"public/big.bin": {Data: want}}, PackConfig{})
		if f, _ := m.Lookup("public/big.bin"); len(f.Chunks) != chunksOf(int64(size)) ||
			(size > WholeSize) != (len(f.Chunks) > 2) {
			t.Fatalf("%s: %d chunks", name, len(f.Chunks))
		}
		f, err := NewFS(m, s).Open("public/big.bin")
		if err != nil {
			t.Fatal(err)
		}
		r := f.(blob.File)
		if got, err := io.ReadAll(iotest.DataErrReader(r)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		p := make([]byte, 10)
		for _, off := range []int{0, ChunkSize - 5, 2*ChunkSize - 9, 2 * ChunkSize, size - 10, size - 3, size,
			size + 1} {
			rest := want[min(off, size):min(off+10, size)]
			if n, err := r.ReadAt(p, int64(off)); !bytes.Equal(p[:n], rest) || (n < 10) != (err == io.EOF) {
				t.Errorf("%s: at %d: %d, %v", name, off, n, err)
			}
			if at, err := r.Seek(int64(off-size), io.SeekEnd); at != int64(off) || err != nil {
				t.Errorf("%s: %d, %v", name, at, err)
			}
			if n, err := io.ReadFull(r, p); !bytes.Equal(p[:n], rest) || (n < 10) != (err != nil) {
				t.Errorf("%s: from %d: %d, %v", name, off, n, err)
			}
			if at, err := r.Seek(0, io.SeekCurrent); at != int64(off+len(rest)) || err != nil {
				t.Errorf("%s: at %d behind %d, %v", name, at, off, err)
			}
		}
		if _, err := r.Seek(-1, io.SeekStart); err == nil {
			t.Errorf("%s: before the beginning", name)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := f.Read(p); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: reading what is closed: %v", name, err)
		}
	}
}
