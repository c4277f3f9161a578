package raftlog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

const (
	retainedSnapshots = 2 // on disk: the newest, and one more in case that one cannot be read
	snapshotFolder    = "snapshots"
	// what Check moves out of the way; a newer one of the same name replaces it
	damagedFolder   = "snapshots-damaged"
	unfinished      = ".tmp"      // ends the name of one being written
	descriptionFile = "meta.json" // raft's, with the checksum of the state beside it
	sumFile         = "meta.crc"  // ours, with the checksum of the description
)

// NewSnapshots returns a store of snapshots in the folder "snapshots" of dir. What a crash left of an
// unfinished one is removed, so no snapshot may be under way in dir.
func NewSnapshots(dir string, logger hclog.Logger) (raft.SnapshotStore, error) {
	folder := filepath.Join(dir, snapshotFolder)
	found, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for unfinished snapshots: %w", err)
	}
	for _, entry := range found {
		if !strings.HasSuffix(entry.Name(), unfinished) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(folder, entry.Name())); err != nil {
			return nil, fmt.Errorf("remove unfinished snapshot: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create snapshot directory: %w", err)
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, retainedSnapshots, logger)
	if err != nil {
		return nil, err
	}
	return &fileSnapshots{files, folder}, nil
}

// fileSnapshots is raft's store of snapshots, which checks the state by the description, with a checksum of
// the description: index, term and configuration are in there. A snapshot without one was written by a
// program from before it, or the process died in the middle; it counts as it is.
type fileSnapshots struct {
	raft.SnapshotStore
	folder string
}

func (s *fileSnapshots) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration,
	at uint64,
	t raft.Transport) (raft.SnapshotSink, error) {
	if err := spare(s.folder); err != nil {
		return nil, err
	}
	sink, err := s.SnapshotStore.Create(version, index, term, c, at, t)
	if err != nil {
		return nil, err
	}
	return &fileSink{SnapshotSink: sink, folder: filepath.Join(s.folder, sink.ID())}, nil
}

// spare makes sure that there is a file descriptor. raft leaves behind what it has begun of a snapshot when
// there is none.
func spare(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return f.Close()
}

// List returns the newest snapshots, the newest first. raft's own passes over what it cannot open for want of
// a file descriptor, so that an older snapshot, or none, counts as the newest; here that is an error.
func (s *fileSnapshots) List() ([]*raft.SnapshotMeta, error) {
	entries, err := os.ReadDir(s.folder)
	if err != nil {
		return nil, err
	}
	var found []*raft.SnapshotMeta
	for _, e := range entries {
		if !e.IsDir() || strings.HasSuffix(e.Name(), unfinished) {
			continue
		}
		switch meta, err := s.describe(e.Name()); {
		case descriptors.Exhausted(err):
			return nil, err
		case err == nil && meta.Version >= raft.SnapshotVersionMin && meta.Version <= raft.SnapshotVersionMax:
			found = append(found, meta)
		}
	}
	slices.SortFunc(found, func(a, b *raft.SnapshotMeta) int {
		return cmp.Or(cmp.Compare(b.Term, a.Term), cmp.Compare(b.Index, a.Index), strings.Compare(b.ID, a.ID))
	})
	return found[:min(len(found), retainedSnapshots)], nil
}

// describe reads the description of a snapshot as raft writes it.
func (s *fileSnapshots) describe(id string) (*raft.SnapshotMeta, error) {
	b, err := os.ReadFile(filepath.Join(s.folder, id, descriptionFile))
	if err != nil {
		return nil, err
	}
	var meta raft.SnapshotMeta
	return &meta, json.NewDecoder(bytes.NewReader(b)).Decode(&meta) // whatever comes after it, as raft does
}

// Open checks all of a snapshot before it returns its contents. The error is a *CorruptError if it cannot be
// read; one that newer ones have replaced since List is fs.ErrNotExist. For want of a file descriptor nothing
// is known of it, and the error says that (descriptors.Exhausted).
func (s *fileSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	folder := filepath.Join(s.folder, id)
	err := checkDescription(folder)
	if err == nil {
		var meta *raft.SnapshotMeta
		var r io.ReadCloser
		if meta, r, err = s.SnapshotStore.Open(id); err == nil && meta.ID == id && meta.Index == indexOf(id) {
			return meta, r, nil
		}
		if err == nil {
			err = errors.Join(errDescription, r.Close())
		}
	}
	if descriptors.Exhausted(err) {
		return nil, nil, err
	}
	if _, gone := os.Lstat(folder); errors.Is(gone, fs.ErrNotExist) {
		return nil, nil, gone
	}
	return nil, nil, &CorruptError{File: folder, Index: indexOf(id), Err: err}
}

// indexOf returns the index in the name of a snapshot, which is TERM-INDEX-TIME; 0 if it is none.
func indexOf(id string) (index uint64) {
	var term uint64
	if n, _ := fmt.Sscanf(id, "%d-%d-", &term, &index); n < 2 {
		return 0
	}
	return index
}

func checkDescription(folder string) error {
	sum, err := os.ReadFile(filepath.Join(folder, sumFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := descriptionSum(folder)
	if err == nil && string(sum) != now {
		err = errChecksum
	}
	return err
}

func descriptionSum(folder string) (string, error) {
	b, err := os.ReadFile(filepath.Join(folder, descriptionFile))
	return fmt.Sprintf("%08x\n", crc32.Checksum(b, castagnoli)), err
}

// fileSink is a snapshot being written. Its description gets its checksum once it is in place.
type fileSink struct {
	raft.SnapshotSink
	folder string
	ended  bool
}

func (s *fileSink) Cancel() error {
	s.ended = true
	return s.SnapshotSink.Cancel()
}

func (s *fileSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil || s.ended {
		return err
	}
	s.ended = true
	sum, err := descriptionSum(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is older than those that are kept
	}
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(s.folder, sumFile), sum)
}

func writeSynced(path, data string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// readableSnapshots returns the newest snapshot that can be read, the zero one if there is none, and the
// names of those that cannot.
func readableSnapshots(snaps raft.SnapshotStore, dir string) (newest raft.SnapshotMeta, damaged []string,
	err error) {
	entries, err := os.ReadDir(filepath.Join(dir, snapshotFolder))
	if err != nil {
		return newest, nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasSuffix(e.Name(), unfinished) {
			continue
		}
		meta, r, err := snaps.Open(e.Name())
		if descriptors.Exhausted(err) {
			return newest, nil, err
		}
		if err != nil {
			damaged = append(damaged, e.Name())
			continue
		}
		r.Close()
		if newest.ID == "" || older(newest, *meta) {
			newest = *meta
		}
	}
	return newest, damaged, nil
}

// setAside moves a snapshot to where raft does not see it: it would send the newest one to followers,
// readable or not.
func setAside(dir, name string) error {
	to := filepath.Join(dir, damagedFolder)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, snapshotFolder, name), filepath.Join(to, name))
}
