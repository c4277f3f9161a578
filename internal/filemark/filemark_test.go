package filemark_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/filemark"
)

// What keeps a file's size and time is seen all the same: written in place, and put in its place.
func TestOf(t *testing.T) {
	if !filemark.Sure {
		ci.Missingf(t, "a system that says when a file was changed")
	}
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	at := time.Unix(1e9, 0)
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	look := func() filemark.Mark {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return filemark.Of(info)
	}
	write(path, "one")
	write(other, "six")
	first := look()
	if look() != first {
		t.Error("a file that nobody has touched")
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	second := look()
	if second == first {
		t.Error("another file in its place is not seen")
	}
	// The system's clock for files goes on in steps, of 10 ms at most.
	for deadline := time.Now().Add(10 * time.Second); look() == second; {
		if time.Now().After(deadline) {
			t.Fatal("what is written in place is not seen")
		}
		write(path, "two")
	}
}

// A file system that says little is no reason to panic.
func TestOfOtherSystems(t *testing.T) {
	fsys := fstest.MapFS{"a": {Data: []byte("a")}, "dir/b": {Data: []byte("b")}}
	for _, name := range []string{"a", "dir"} {
		info, err := fsys.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		again, err := fsys.Stat(name)
		if err != nil || filemark.Of(info) != filemark.Of(again) {
			t.Errorf("%s differs from itself: %v", name, err)
		}
	}
}
