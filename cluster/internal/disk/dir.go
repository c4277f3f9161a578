// Package disk keeps a node's data directory: whose it is, who the others are, and the folders of the Raft
// log.
//
// One process owns a directory at a time. The lock is the operating system's, on a file that stays: it ends
// with the process, however that ends, and is asked for without waiting - two nodes on one directory are a
// mistake to report.
//
// Small files are replaced as a whole: written beside, synced, renamed over, and the rename synced too. A
// crash leaves the old file or the new one. Each carries a version and a checksum, since the worst that can
// happen to a node is to take a damaged identity for a missing one: under a new name it would forget what it
// promised under the old. So damage is an error, and what to do about it is for people to decide.
//
// Nothing is ever deleted here; what is not wanted any more is moved aside.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/dirlock"
)

var (
	// ErrInUse says that another process, or another node of this one, has the directory open.
	ErrInUse = dirlock.ErrInUse

	// ErrDamaged says that a file is not what was written.
	ErrDamaged = errors.New("file is damaged")
)

const (
	lockFile     = "lock"
	identityFile = "identity"
	peersFile    = "peers"
	promiseFile  = "promise"
	labelFile    = "label"
	resyncFile   = "resync"
	begunFile    = "begun"
	tempSuffix   = ".tmp" // of a file being written
)

// Dir is an open data directory. Its methods may be called by many goroutines.
type Dir struct {
	path string

	mu   sync.Mutex // held while a file is replaced or moved
	lock *os.File   // nil after Close
}

// Open creates path if need be, for the owner alone, and locks it. The error wraps ErrInUse if it is locked
// already.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", explain(err))
	}
	lock, err := dirlock.Take(filepath.Join(path, lockFile))
	if errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("%w: %s; end that process, or give this node a directory of its own", err, path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data directory %s: %w", path, explain(err))
	}
	d := &Dir{path: path, lock: lock}
	if err := d.prepare(); err != nil {
		d.Close()
		return nil, fmt.Errorf("data directory %s cannot be written: %w", path, explain(err))
	}
	return d, nil
}

// explain adds to an error what to do about it, where that may not be plain.
func explain(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: the directory must belong to the user this process runs as", err)
	}
	return err
}

// prepare removes what a crash left of an unfinished write, and tries to write.
func (d *Dir) prepare() error {
	for _, name := range []string{identityFile, peersFile, promiseFile, labelFile, resyncFile, begunFile,
		"probe"} {
		if err := os.Remove(d.Path(name + tempSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := writeSynced(d.Path("probe"+tempSuffix), []byte("can it be written?\n")); err != nil {
		return err
	}
	return os.Remove(d.Path("probe" + tempSuffix))
}

// Path returns the path of sub, a file or folder in the directory; "" is the directory itself.
func (d *Dir) Path(sub string) string { return filepath.Join(d.path, sub) }

// Discard moves the file or folder sub into a new folder named discarded-TIME and returns its new path, "" if
// there was no such thing.
func (d *Dir) Discard(sub string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return "", fs.ErrClosed
	}
	if !filepath.IsLocal(sub) {
		return "", fmt.Errorf("discard %q: not within the data directory", sub)
	}
	if _, err := os.Lstat(d.Path(sub)); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	folder, err := d.discardFolder()
	if err != nil {
		return "", fmt.Errorf("discard %s: %w", sub, err)
	}
	target := filepath.Join(folder, filepath.Base(sub))
	if err := os.Rename(d.Path(sub), target); err != nil {
		return "", fmt.Errorf("discard %s: %w", sub, err)
	}
	if err := errors.Join(dirlock.Sync(folder), dirlock.Sync(filepath.Dir(d.Path(sub))),
		dirlock.Sync(d.path)); err != nil {
		return "", fmt.Errorf("discard %s: %w", sub, err)
	}
	return target, nil
}

func (d *Dir) discardFolder() (string, error) {
	name := d.Path("discarded-" + time.Now().UTC().Format("20060102T150405Z"))
	folder := name
	for n := 2; ; n++ {
		err := os.Mkdir(folder, 0o700)
		if !errors.Is(err, fs.ErrExist) {
			return folder, err
		}
		folder = fmt.Sprintf("%s-%d", name, n)
	}
}

// Close gives the directory free. It may be called again.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close() // ends the lock too
	d.lock = nil
	return err
}
