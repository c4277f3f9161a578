//go:build unix

package content

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What is no file of the folder alone is refused, where a disk has such things.
func TestPackRefusesLinks(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.txt")
	if err := os.WriteFile(name, []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for says, make := range map[string]func(string) error{
		"symbolic link": func(p string) error { return os.Symlink("/etc/passwd", p) },
		"named pipe":    func(p string) error { return syscall.Mkfifo(p, 0o644) },
		"hard links":    func(p string) error { return os.Link(name, p) },
	} {
		p := filepath.Join(dir, "bad")
		if err := make(p); err != nil {
			t.Fatal(err)
		}
		if _, err := Pack(t.Context(), root.FS(), newFolder(t), PackConfig{}); !errors.Is(err, ErrRefused) ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		if says == "hard links" {
			pack(t, newFolder(t), root.FS(), PackConfig{HardLinks: true})
		}
		os.Remove(p)
	}
}
