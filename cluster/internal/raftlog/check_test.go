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
		{name: "newest damaged, log reaches back", snapshots: []uint64{10, 20},
			spoil: map[uint64]string{20: "state.bin"}, first: 11, damaged: 1},
		{name: "newest damaged, gap", snapshots: []uint64{10, 20}, spoil: map[uint64]string{20: "state.bin"},
			first: 12, damaged: 1, lost: true},
		{name: "older damaged", snapshots: []uint64{10, 20}, spoil: map[uint64]string{10: "state.bin"},
			first: 12, damaged: 1},
		{name: "only one damaged", snapshots: []uint64{20}, spoil: map[uint64]string{20: "state.bin"},
			first: 15, damaged: 1, lost: true},
		{name: "no description", snapshots: []uint64{20}, spoil: map[uint64]string{20: "meta.json"},
			first: 15, damaged: 1, lost: true},
		{name: "only one damaged, no log", snapshots: []uint64{20}, spoil: map[uint64]string{20: "meta.json"},
			damaged: 1, lost: true},
		{name: "only one damaged, whole log", snapshots: []uint64{20},
			spoil: map[uint64]string{20: "state.bin"}, first: 1, damaged: 1},
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
			m, err := Check(log, snaps, dir)
			damaged := m.Damaged
			if len(damaged) != tt.damaged || errors.Is(err, ErrNoSnapshot) != tt.lost || err != nil &&
				!tt.lost {
				t.Errorf("damaged: %v; %v", damaged, err)
			}
		})
	}
}

// A log that a snapshot has replaced is dropped, and so are damaged entries that a snapshot covers. Damage
// behind the snapshot is an error, and nothing is changed.
func TestCheckMends(t *testing.T) {
	tests := []struct {
		name        string
		snapshot    uint64 // its term is 1
		first, last uint64
		term        uint64 // of the log
		bad         []uint64
		wantFirst   uint64
		wantLast    uint64
		corrupt     uint64
	}{
		{name: "snapshot within the log", snapshot: 20, first: 11, last: 30, term: 1, wantFirst: 11,
			wantLast: 30},
		{name: "log ends before the snapshot", snapshot: 20, first: 11, last: 19, term: 1},
		{name: "log ends long before the snapshot", snapshot: 20, first: 1, last: 3, term: 1},
		{name: "log ends at the snapshot", snapshot: 20, first: 11, last: 20, term: 1, wantFirst: 11,
			wantLast: 20},
		{name: "log goes another way at the snapshot", snapshot: 20, first: 11, last: 30, term: 2},
		{name: "log begins right behind the snapshot", snapshot: 20, first: 21, last: 30, term: 2,
			wantFirst: 21, wantLast: 30},
		{name: "damage before the snapshot", snapshot: 20, first: 11, last: 30, term: 1,
			bad: []uint64{12, 15}, wantFirst: 16, wantLast: 30},
		{name: "damage at the snapshot", snapshot: 20, first: 11, last: 30, term: 1, bad: []uint64{20},
			wantFirst: 21, wantLast: 30},
		{name: "damage everywhere before it", snapshot: 20, first: 11, last: 20, term: 1,
			bad: []uint64{11, 20}},
		{name: "damage behind the snapshot", snapshot: 20, first: 11, last: 30, term: 1,
			bad: []uint64{12, 21}, wantFirst: 11, wantLast: 30,
			corrupt: 21},
		{name: "damage without a snapshot", first: 1, last: 30, term: 1, bad: []uint64{7}, wantFirst: 1,
			wantLast: 30, corrupt: 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			snaps, err := NewSnapshots(dir, hclog.NewNullLogger())
			if err != nil {
				t.Fatal(err)
			}
			if tt.snapshot > 0 {
				makeSnapshot(t, snaps, tt.snapshot)
			}
			log := NewMemory().(*memory)
			for i := tt.first; i <= tt.last; i++ {
				mustStore(t, log, []*raft.Log{{Index: i, Term: tt.term, Data: []byte("data")}})
			}
			for _, i := range tt.bad {
				log.placeLocked(i).Data = []byte("dada")
			}
			for range 2 { // the second time there is nothing to mend
				m, err := Check(log, snaps, dir)
				var bad *CorruptError
				if errors.As(err, &bad) != (tt.corrupt > 0) || tt.corrupt > 0 && bad.Index != tt.corrupt ||
					err != nil && bad == nil {
					t.Fatalf("%+v, %v", m, err)
				}
				first, _ := log.FirstIndex()
				last, _ := log.LastIndex()
				if first != tt.wantFirst || last != tt.wantLast {
					t.Fatalf("the log goes from %d to %d; %+v", first, last, m)
				}
			}
		})
	}
}

// A damaged snapshot is moved to where raft does not find it, and raft's own description of one is checked as
// well.
func TestDamagedSnapshotIsSetAside(t *testing.T) {
	for _, file := range []string{"state.bin", "meta.json", sumFile} {
		dir := t.TempDir()
		snaps, err := NewSnapshots(dir, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		makeSnapshot(t, snaps, 10)
		id := makeSnapshot(t, snaps, 20)
		path := filepath.Join(dir, snapshotFolder, id, file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var bad *CorruptError
		if _, _, err := snaps.Open(id); !errors.As(err, &bad) || bad.Index != 20 ||
			filepath.Base(bad.File) != id {
			t.Errorf("%s: opened with %v", file, err)
		}
		log := NewMemory()
		mustStore(t, log, entries(5, 30))
		if m, err := Check(log, snaps, dir); err != nil || !slices.Equal(m.Damaged, []string{id}) {
			t.Errorf("%s: %+v, %v", file, m, err)
		}
		if listed, err := snaps.List(); err != nil || len(listed) != 1 || listed[0].Index != 10 {
			t.Errorf("%s: listed %v, %v", file, listed, err)
		}
		if _, err := os.Stat(filepath.Join(dir, damagedFolder, id, file)); err != nil {
			t.Error(err)
		}
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
