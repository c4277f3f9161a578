// Package tempdir makes temporary folders and files that a killed process does not leave for ever. A folder is held
// by the lock of a file in it, which ends with its process, however that ends. Who makes a folder removes those of
// the same kind that nobody holds any more. A file has no name, where a system allows that.
//
// What is removed is a folder of the same user's, writable for him alone, with that file in it; nothing is followed
// out of it. So in a folder that all users share, such as /tmp, nobody can have anything removed that is not his.
// Containers that share such a folder see each other's locks, as they have one kernel. Virtual machines that do may
// not: so a folder's name says which start of which kernel it is of, and those of others stay. Where there are no
// such locks (package dirlock has the systems; of a file system its errors tell), folders are made all the same, and
// none is removed.
package tempdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/dirlock"
)

// lockName is the file that its process has locked.
const lockName = "lock"

// makingTime is how long a folder without a lock may take to get it, at most.
const makingTime = time.Hour

// Dir is a temporary folder. The zero Dir is none; Make makes one.
type Dir struct {
	path string
	lock *os.File // nil: there are no locks here
}

// Make makes a folder with a name that begins with kind, where the system has temporary files. Nobody but this user can
// look into it. Before, it removes the folders of this kind that killed processes have left, and waits for that: so
// there is room for what comes, and what they have left does not add up. The caller removes it by Remove. The errors
// are of the disk.
func Make(kind string) (*Dir, error) {
	prefix := kind + "-" + kernel() + "-"
	sweep(os.TempDir(), prefix, time.Now())
	for range 10 { // who sweeps may take a folder that has no lock yet
		d, err := try(prefix)
		if err != nil || d != nil {
			return d, err
		}
	}
	return nil, fmt.Errorf("others remove each folder %s* that is made in %s", prefix, os.TempDir())
}

// try returns nil without an error if somebody has swept the folder before it was locked.
func try(prefix string) (*Dir, error) {
	path, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(path, lockName)
	lock, err := dirlock.Take(name)
	switch {
	case err == nil && isAt(lock, name):
		return &Dir{path, lock}, nil
	case err == nil:
		return nil, lock.Close()
	case errors.Is(err, dirlock.ErrInUse), errors.Is(err, fs.ErrNotExist):
		return nil, nil
	}
	return unlocked(path, err)
}

// unlocked returns a folder that could not be locked because of err: it serves without a lock. A lock that nobody
// holds must not be in it, as after a write to it that failed: a sweep would take the folder for one of a process that
// has ended.
func unlocked(path string, err error) (*Dir, error) {
	if gone := os.Remove(filepath.Join(path, lockName)); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	if _, gone := os.Lstat(path); gone != nil {
		return nil, err
	}
	return &Dir{path: path}, nil
}

// kernel names this start of this kernel; containers on it have the same.
var kernel = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(id) < 8 {
		return "0"
	}
	return string(id[:8])
})

// isAt reports whether an open file has that name.
func isAt(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(name)
	return err == nil && os.SameFile(open, named)
}

// Path returns the folder.
func (d *Dir) Path() string { return d.path }

// Remove removes the folder and all that is in it. It may be called again.
func (d *Dir) Remove() (err error) {
	if d.lock != nil {
		err = d.lock.Close()
		d.lock = nil
	}
	return errors.Join(err, os.RemoveAll(d.path))
}

// File makes a temporary file of this user's. It has no name, where a system allows that of an open file: then nothing
// is left of it, however the process ends. Discard closes it. The errors are of the disk.
func File(kind string) (*os.File, error) { return FileIn("", kind) }

// FileIn is File in a folder; "" = where the system has temporary files.
func FileIn(dir, kind string) (*os.File, error) {
	f, err := os.CreateTemp(dir, kind+"-*")
	if err == nil {
		os.Remove(f.Name()) // again by Discard
	}
	return f, err
}

// Discard closes a file of File, and removes it where that could not be done before.
func Discard(f *os.File) error {
	err := f.Close()
	if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// sweep removes the folders of a prefix that no process holds. What cannot be removed, or looked at, stays.
func sweep(temp, prefix string, now time.Time) {
	root, err := os.OpenRoot(temp)
	if err != nil {
		return
	}
	defer root.Close()
	names, _ := list(root)
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			sweepOne(root, name, now)
		}
	}
}

// sweepOne removes a folder that no process holds.
func sweepOne(root *os.Root, name string, now time.Time) {
	info, err := root.Lstat(name)
	if err != nil || !own(info) {
		return
	}
	dir, err := root.OpenRoot(name)
	if err != nil {
		return
	}
	defer dir.Close()
	if is, err := dir.Stat("."); err != nil || !os.SameFile(info, is) {
		return // it was another one a moment ago
	}
	lock, err := dirlock.TakeOld(dir, lockName)
	switch {
	case err == nil:
		if clear(dir) {
			dir.Remove(lockName) // last, so that what a kill leaves has it
		}
		lock.Close()
		if names, err := list(dir); err != nil || len(names) > 1 {
			return
		}
		dir.Remove(lockName) // where files that are open cannot be removed
		root.Remove(name)
	case errors.Is(err, fs.ErrNotExist) && now.Sub(info.ModTime()) > makingTime:
		root.Remove(name) // if there is nothing in it: its process was killed before it had the lock
	}
}

// clear removes all of a folder but its lock, and reports whether it could.
func clear(dir *os.Root) bool {
	names, err := list(dir)
	for _, name := range names {
		if name != lockName {
			err = errors.Join(err, dir.RemoveAll(name))
		}
	}
	return err == nil
}

func list(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}
