package raftlog

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is read of a file is what was written in it, wherever that lies, and whether zeros behind it were
// written or are a hole.
func TestWritten(t *testing.T) {
	const size = 10*piece + 100
	for _, test := range []struct {
		what string
		at   []int64 // of single bytes
		zero int64   // bytes of zeros that are written first
		size int64
	}{
		{"an empty file", nil, 0, 0},
		{"a hole", nil, 0, size},
		{"zeros", nil, size, size},
		{"the first byte", []int64{0}, 0, size},
		{"the last byte of a piece", []int64{piece - 1}, 0, size},
		{"the first byte of a piece", []int64{piece}, 0, size},
		{"between holes", []int64{3, 7*piece + 9}, 0, size},
		{"between zeros", []int64{3, 7*piece + 9}, size, size},
		{"zeros, then a hole", []int64{4*piece + 5000}, 3 * piece, size},
		{"the last byte", []int64{size - 1}, 0, size},
		{"the last byte of an odd file", []int64{5, 2*piece + 2}, 0, 2*piece + 3},
		{"a small file", []int64{1}, 0, 2},
	} {
		path := filepath.Join(t.TempDir(), "1-1.wal")
		f, err := os.Create(path)
		if err == nil {
			err = f.Truncate(test.size)
		}
		if err == nil && test.zero > 0 {
			_, err = f.WriteAt(make([]byte, test.zero), 0)
		}
		for _, at := range test.at {
			if err == nil {
				_, err = f.WriteAt([]byte{1}, at)
			}
		}
		if err != nil || f.Close() != nil {
			t.Fatalf("%s: %v", test.what, err)
		}
		got, err := written(path)
		if err != nil {
			t.Fatalf("%s: %v", test.what, err)
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, make([]byte, 8)...)[:lastNonZero(want)]
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d", test.what, len(got), len(want))
		}
	}
	if _, err := written(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was read")
	}
}

// A segment that holds little is hardly read, where the system knows what was written.
func TestWrittenReadsLittle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1-1.wal")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Truncate(64*piece) != nil {
		t.Fatal("no room")
	}
	if _, err := f.WriteAt([]byte("entry"), 3*piece); err != nil {
		t.Fatal(err)
	}
	if next := nextData(f, 0); next != 3*piece && next != 0 { // 0: all systems need not know
		t.Errorf("it was written from %d on, want %d", next, 3*piece)
	}
	if next := nextData(f, 4*piece); next >= 0 && next != 4*piece {
		t.Errorf("it was written from %d on, want nothing", next)
	}
}
