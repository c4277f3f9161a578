package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed48eb2e21/webfarm/internal/dirlock"
)

// Has reports whether sub is there, a file or folder in the directory.
func (d *Dir) Has(sub string) (bool, error) {
	_, err := os.Lstat(d.Path(sub))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// List returns the files and folders in the directory whose names begin with prefix.
func (d *Dir) List(prefix string) (names []string, err error) {
	entries, err := os.ReadDir(d.path)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Sync makes sure that a folder in the directory, and the names of what is in it, have reached the disk.
func (d *Dir) Sync(sub string) error {
	return errors.Join(dirlock.Sync(d.Path(sub)), dirlock.Sync(d.path))
}

// Rename gives the file or folder from another name, to, which must be free. When it returns without error,
// that has reached the disk.
func (d *Dir) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return fs.ErrClosed
	}
	if !filepath.IsLocal(from) || !filepath.IsLocal(to) {
		return fmt.Errorf("rename %q to %q: not within the data directory", from, to)
	}
	if taken, err := d.Has(to); err != nil || taken {
		return errors.Join(err, fmt.Errorf("rename %q to %q: there is one already", from, to))
	}
	if err := os.Rename(d.Path(from), d.Path(to)); err != nil {
		return err
	}
	return dirlock.Sync(d.path)
}
