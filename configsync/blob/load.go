package blob

import (
	"errors"
	"io/fs"
	"os"
	"path"
)

// The folders of a store. A blob is sha256/ab/cdef..., without an ending; the first two digits are the
// folder's name. Or it is in a pack.
const (
	blobDir       = "sha256"
	packDir       = "packs"
	tempDir       = "tmp"        // blobs that are being written, and those that are not yet durable
	quarantineDir = "quarantine" // damaged blobs, for people to look at
)

// pathOf returns the name of a blob.
func pathOf(h Hash) string {
	s := h.String()
	return path.Join(blobDir, s[:2], s[2:])
}

// prepare removes what is unfinished, and makes the folders. Those in blobDir are made when they are needed. The names
// are made to last also where the folders are there already: an earlier process may have ended before it did that.
func (s *Store) prepare() error {
	if err := s.root.RemoveAll(tempDir); err != nil {
		return err
	}
	if err := s.root.Mkdir(tempDir, 0o700); err != nil {
		return err
	}
	for _, dir := range []string{blobDir, packDir} {
		if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return s.syncDir(".")
}

// load reads the names of all blobs. What is no blob is left alone: it is not of the store. The next Sync makes the
// names last: an earlier process may have ended before it did that.
func (s *Store) load() error {
	folders, err := s.list(blobDir)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if !folder.IsDir() || len(folder.Name()) != 2 {
			continue
		}
		blobs, err := s.list(path.Join(blobDir, folder.Name()))
		if err != nil {
			return err
		}
		for _, info := range blobs {
			s.loadBlob(folder.Name(), info)
		}
		s.dirty[blobDir] = struct{}{}
		s.dirty[path.Join(blobDir, folder.Name())] = struct{}{}
	}
	return s.loadPacks()
}

func (s *Store) list(dir string) ([]os.FileInfo, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdir(-1)
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
	if s.temporary() {
		return nil
	}
	if err := s.before("sync folder"); err != nil {
		return err
	}
	return syncFolder(s.root, name)
}
