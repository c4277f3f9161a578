package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Has reports whether sub is there, a file or folder in the directory.
func (d *Dir) Has(sub string) (bool, error) {
	_, err := os.Lstat(d.Path(sub))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Rename gives the file or folder from another name, to, which must be free. When it returns without error, that has
// reached the disk.
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
	return syncDir(d.path)
}
