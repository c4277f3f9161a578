package raftlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name      string
		snapshots []uint64 // by index
		spoil     map[uint64]string
		first     uint64 // of the log; 0 = empty
		damaged   int
		lost      bool
	}{
		{name: "nothing"},
		{name: "log alone", first: 1},
		{name: "snapshot and log", snapshots: []uint64{10, 20}, first: 15},
		{name: "snapshot alone", snapshots: []uint64{20}},
		{name: "newest damaged, log reaches back", snapshots: []uint64{10, 20}, spoil: map[uint64]string{20: "state.bin"}, first: 11, damaged: 1},
		{name: "newest damaged, gap", snapshots: []uint64{10, 20}, spoil: map[uint64]string{20: "state.bin"}, first: 12, damaged: 1, lost: true},
		{name: "older damaged", snapshots: []uint64{10, 20}, spoil: map[uint64]string{10: "state.bin"}, first: 12, damaged: 1},
		{name: "only one damaged", snapshots: []uint64{20}, spoil: map[uint64]string{20: "state.bin"}, first: 15, damaged: 1, lost: true},
		{name: "no description", snapshots: []uint64{20}, spoil: map[uint64]string{20: "meta.json"}, first: 15, damaged: 1, lost: true},
		{name: "only one damaged, no log", snapshots: []uint64{20}, spoil: map[uint64]string{20: "meta.json"}, damaged: 1, lost: true},
		{name: "only one damaged, whole log", snapshots: []uint64{20}, spoil: map[uint64]string{20: "state.bin"}, first: 1, damaged: 1},
		{name: "no snapshot any more", first: 15, lost: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			snaps, err := NewSnapshots(dir, hclog.NewNullLogger())
			if err != nil {
				t.Fatal(err)
			}
			for _, index := range tt.snapshots {
				spoil(t, filepath.Join(dir, "snapshots", makeSnapshot(t, snaps, index)), tt.spoil[index])
			}
			log := NewMemory()
			for i := tt.first; i > 0 && i < tt.first+10; i++ {
				if err := log.StoreLog(&raft.Log{Index: i, Term: 1}); err != nil {
					t.Fatal(err)
				}
			}
			damaged, err := Check(log, snaps, dir)
			if len(damaged) != tt.damaged || errors.Is(err, ErrGap) != tt.lost || err != nil && !tt.lost {
				t.Errorf("damaged: %v; %v", damaged, err)
			}
		})
	}
}

func makeSnapshot(t *testing.T, snaps raft.SnapshotStore, index uint64) (id string) {
	t.Helper()
	sink, err := snaps.Create(raft.SnapshotVersionMax, index, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(sink, "state at %d", index)
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return sink.ID()
}

// spoil changes a byte of a file in a folder; "" = none.
func spoil(t *testing.T, folder, file string) {
	t.Helper()
	if file == "" {
		return
	}
	path := filepath.Join(folder, file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = slices.Clone(b)
	b[0] ^= 0x20
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
