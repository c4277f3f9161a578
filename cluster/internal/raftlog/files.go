package raftlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
)

var (
	errShort = errors.New("it is shorter than it was made: what was appended there is gone")
	errList  = errors.New("the list of the log's files, which it holds, cannot be read")
)

// wholeFiles makes a segment beside its place, at its full size, and renames it. So a file that is shorter than its header is never
// one that a crash or a full disk kept from being made, but always damage.
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

// OpenWriter returns a file whose first Sync makes its name last, too.
func (w wholeFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := w.FS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return &named{WritableFile: f, dir: dir}, nil
}

// named is a segment whose name may not be on the disk yet.
type named struct {
	types.WritableFile
	dir  string
	done bool // raft-wal appends, and syncs, from one goroutine at a time
}

func (f *named) Sync() error {
	if err := f.WritableFile.Sync(); err != nil || f.done {
		return err
	}
	d, err := os.Open(f.dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	f.done = err == nil
	return err
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

// checkWhole looks at the newest segment's size, and whether there is a list that it is in: raft-wal makes the list first, and
// deletes what is not in it.
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
