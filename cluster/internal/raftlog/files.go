package raftlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
)

var (
	errShort = errors.New("it is shorter than it was made: what was appended there is gone")
	errList  = errors.New("the list of the log's files, which it holds, cannot be read")
)

// wholeFiles makes a segment beside its place, at its full size, and renames it. So a file that is shorter
// than its header is never one that a crash or a full disk kept from being made, but always damage.
type wholeFiles struct{ *fs.FS }

func (w wholeFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	temp := name + ".tmp"
	os.Remove(filepath.Join(dir, temp)) // of a crash
	f, err := w.FS.Create(dir, temp, size)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, temp), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(filepath.Join(dir, temp))
		return nil, err
	}
	return w.OpenWriter(dir, name)
}

// OpenWriter returns a file whose first Sync makes its name last, too. The folder is opened here for that: an
// append that fails half-way, for want of a file descriptor, would be one that nobody knows the outcome of.
func (w wholeFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	f, err := w.FS.OpenWriter(dir, name)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &named{WritableFile: f, dir: d}, nil
}

// named is a segment whose name may not be on the disk yet.
type named struct {
	types.WritableFile

	mu  sync.Mutex
	dir *os.File // nil once the name is; guarded by mu
}

func (f *named) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.WritableFile.Sync(); err != nil || f.dir == nil {
		return err
	}
	if err := f.dir.Sync(); err != nil {
		return err
	}
	dir := f.dir
	f.dir = nil
	return dir.Close()
}

func (f *named) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if f.dir != nil {
		err = f.dir.Close()
		f.dir = nil
	}
	return errors.Join(err, f.WritableFile.Close())
}

// opening keeps an eye on the files that raft-wal opens while it opens a log: if it fails, it leaves them
// open.
type opening struct {
	types.VFS

	mu    sync.Mutex
	ended bool        // guarded by mu
	files []io.Closer // guarded by mu
}

func (o *opening) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := o.VFS.Create(dir, name, size)
	return noted(o, f, err)
}

func (o *opening) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := o.VFS.OpenWriter(dir, name)
	return noted(o, f, err)
}

func (o *opening) OpenReader(dir, name string) (types.ReadableFile, error) {
	f, err := o.VFS.OpenReader(dir, name)
	return noted(o, f, err)
}

func noted[F io.Closer](o *opening, f F, err error) (F, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil && !o.ended {
		o.files = append(o.files, f)
	}
	return f, err
}

// end is called when the log was opened, or failed to; then the files are closed.
func (o *opening) end(opened bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !opened {
		for _, f := range o.files {
			f.Close() // it may be closed already, and nothing was written to it that counts
		}
	}
	o.ended, o.files = true, nil
}

// checkedList is the list of segments. bbolt trusts what it reads, and panics on what it did not write.
type checkedList struct{ *metadb.BoltMetaDB }

func (c checkedList) Load(dir string) (state types.PersistentState, err error) {
	path := filepath.Join(dir, metadb.FileName)
	if info, err := os.Stat(path); err == nil && info.Size() == 0 { // bbolt would make a new one of it
		return state, &CorruptError{File: path, Err: errList}
	}
	defer func() {
		if p := recover(); p != nil {
			err = &CorruptError{File: path, Err: errList}
			c.Close()
		}
	}()
	return c.BoltMetaDB.Load(dir)
}

// checkWhole looks at the newest segment's size, and whether there is a list that it is in: raft-wal makes
// the list first, and deletes what is not in it.
func checkWhole(path string) error {
	list := filepath.Join(filepath.Dir(path), metadb.FileName)
	if _, err := os.Stat(list); errors.Is(err, os.ErrNotExist) {
		return &CorruptError{File: list, Err: errMissing}
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() < segmentHeader {
		var first uint64
		fmt.Sscanf(filepath.Base(path), "%d-", &first)
		err = &CorruptError{File: path, Index: first, Err: errShort}
	}
	return err
}
