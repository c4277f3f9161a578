package raftlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
)

// ErrGap says that entries are missing between the newest snapshot that can be read and the log.
var ErrGap = errors.New("a snapshot is damaged or missing, and the log does not reach back to an older one")

// Check makes sure that the log goes on from a snapshot that can be read. raft takes an older snapshot when the newest one
// cannot be read, passes over one that has lost its description, and panics when it then comes to entries that the log
// does not have any more. damaged names the snapshots in dir, where NewSnapshots was called for, that cannot be read. The
// error wraps ErrGap if the node has lost state.
func Check(log Store, snaps raft.SnapshotStore, dir string) (damaged []string, err error) {
	first, err := log.FirstIndex()
	if err != nil {
		return nil, fmt.Errorf("check the log: %w", err)
	}
	names, err := snapshotNames(dir)
	if err != nil {
		return nil, fmt.Errorf("check the snapshots: %w", err)
	}
	listed, err := snaps.List()
	if err != nil {
		return nil, fmt.Errorf("check the snapshots: %w", err)
	}
	index := make(map[string]uint64)
	for _, meta := range listed {
		if readable(snaps, meta.ID) {
			index[meta.ID] = meta.Index
		}
	}
	newest, found := uint64(0), false
	for _, name := range names {
		i, ok := index[name]
		if !ok {
			damaged = append(damaged, name)
			continue
		}
		newest, found = max(newest, i), true
	}
	lost := first > newest+1 || first == 0 && !found && len(damaged) > 0
	if lost {
		return damaged, fmt.Errorf("%w: damaged in %s: %q; the log begins with entry %d, and the newest snapshot that can be read "+
			"ends with entry %d", ErrGap, dir, damaged, first, newest)
	}
	return damaged, nil
}

func snapshotNames(dir string) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, snapshotFolder))
	for _, e := range entries {
		if e.IsDir() && !strings.HasSuffix(e.Name(), unfinished) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// readable reports whether the checksum of a snapshot is right.
func readable(snaps raft.SnapshotStore, id string) bool {
	_, r, err := snaps.Open(id)
	if err != nil {
		return false
	}
	r.Close()
	return true
}
