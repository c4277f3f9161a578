package blob

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
)

// The folders of a store. A blob is sha256/ab/cdef..., without an ending; the first two digits are the
// folder's name.
const (
	blobDir       = "sha256"
	tempDir       = "tmp"        // blobs that are being written, and those that are not yet durable
	quarantineDir = "quarantine" // damaged blobs, for people to look at
)

// pathOf returns the name of a blob.
func pathOf(h Hash) string {
	s := h.String()
	return path.Join(blobDir, s[:2], s[2:])
}

// prepare makes the folders, and removes what is unfinished.
func (s *Store) prepare() error {
	if err := s.root.RemoveAll(tempDir); err != nil {
		return err
	}
	made := false
	for _, dir := range s.folders() {
		err := s.root.Mkdir(dir, 0o700)
		switch {
		case err == nil:
			made = true
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	if !made || s.temporary {
		return nil
	}
	return errors.Join(s.syncDir(blobDir), s.syncDir("."))
}

func (s *Store) folders() []string {
	dirs := []string{tempDir, quarantineDir, blobDir}
	for i := range 256 {
		dirs = append(dirs, path.Join(blobDir, folderOf(byte(i))))
	}
	return dirs
}

// folderOf returns the name of the folder of all hashes that begin with b.
func folderOf(b byte) string { return string(strconv.AppendUint([]byte{}, uint64(b)+256, 16)[1:]) }

// load reads the names of all blobs. What is no blob is left alone: it is not of the store.
func (s *Store) load() error {
	for i := range 256 {
		dir := path.Join(blobDir, folderOf(byte(i)))
		f, err := s.root.Open(dir)
		if err != nil {
			return err
		}
		infos, err := f.Readdir(-1)
		f.Close()
		if err != nil {
			return err
		}
		for _, info := range infos {
			s.loadBlob(folderOf(byte(i)), info)
		}
	}
	return nil
}

func (s *Store) loadBlob(folder string, info os.FileInfo) {
	h, err := ParseHash(folder + info.Name())
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	s.index[h] = &entry{size: info.Size(), used: s.now()}
	s.used += info.Size()
}

func (s *Store) syncDir(name string) error {
	if s.temporary {
		return nil
	}
	if err := s.before("sync folder"); err != nil {
		return err
	}
	return syncFolder(s.root, name)
}
