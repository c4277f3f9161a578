package raftlog

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func eachSnapshots(t *testing.T, test func(t *testing.T, s raft.SnapshotStore)) {
	t.Run("memory", func(t *testing.T) { test(t, NewMemorySnapshots()) })
	t.Run("durable", func(t *testing.T) { test(t, newSnapshots(t, t.TempDir())) })
}

func newSnapshots(t *testing.T, dir string) raft.SnapshotStore {
	t.Helper()
	s, err := NewSnapshots(dir, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func begin(t *testing.T, s raft.SnapshotStore, index, term uint64, contents []byte) raft.SnapshotSink {
	t.Helper()
	_, trans := raft.NewInmemTransport("")
	servers := raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "n1"}}}
	sink, err := s.Create(1, index, term, servers, index-1, trans)
	if err != nil {
		t.Fatal(err)
	}
	for len(contents) > 0 { // in odd pieces
		n, err := sink.Write(contents[:min(len(contents), 1+rand.IntN(70_000))])
		if err != nil {
			t.Fatal(err)
		}
		contents = contents[n:]
	}
	return sink
}

func take(t *testing.T, s raft.SnapshotStore, index, term uint64, contents []byte) string {
	t.Helper()
	sink := begin(t, s, index, term, contents)
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return sink.ID()
}

func read(t *testing.T, s raft.SnapshotStore, id string) []byte {
	t.Helper()
	meta, r, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != meta.Size {
		t.Fatalf("read %d bytes of %d: %v", len(b), meta.Size, err)
	}
	return b
}

func newest(t *testing.T, s raft.SnapshotStore) *raft.SnapshotMeta {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

func TestSnapshots(t *testing.T) {
	eachSnapshots(t, func(t *testing.T, s raft.SnapshotStore) {
		if newest(t, s) != nil {
			t.Fatal("a new store has a snapshot")
		}
		for i, size := range []int{0, 1, pieceSize - 1, pieceSize, pieceSize + 1, 3*pieceSize + 17} {
			contents := make([]byte, size)
			for j := range contents {
				contents[j] = byte(j * (i + 1) >> 3)
			}
			index := uint64(10 * (i + 1))
			id := take(t, s, index, 2, contents)
			meta := newest(t, s)
			if meta.ID != id || meta.Index != index || meta.Term != 2 || meta.ConfigurationIndex != index-1 ||
				meta.Size != int64(size) || len(meta.Configuration.Servers) != 1 || meta.Version != 1 {
				t.Errorf("the newest is %+v", meta)
			}
			if !bytes.Equal(read(t, s, id), contents) {
				t.Errorf("%d bytes came back otherwise", size)
			}
		}
		if _, _, err := s.Open("nothing"); err == nil {
			t.Error("opened a snapshot that never was")
		}
		if _, err := s.Create(0, 1, 1, raft.Configuration{}, 0, nil); err == nil {
			t.Error("made a snapshot of version 0")
		}
	})
}

// Until a snapshot is complete, the one before is the one that counts.
func TestUnfinishedSnapshot(t *testing.T) {
	eachSnapshots(t, func(t *testing.T, s raft.SnapshotStore) {
		id := take(t, s, 10, 1, []byte("old"))
		sink := begin(t, s, 20, 1, []byte("new, half of"))
		if got := newest(t, s); got.ID != id {
			t.Errorf("the newest is %+v", got)
		}
		if err := sink.Cancel(); err != nil {
			t.Fatal(err)
		}
		if got := newest(t, s); got.ID != id || string(read(t, s, id)) != "old" {
			t.Errorf("after Cancel the newest is %+v", got)
		}
	})
}

// A snapshot taken at 10 may be written slower than the leader installs one at 20.
func TestOlderSnapshotFinishesLate(t *testing.T) {
	eachSnapshots(t, func(t *testing.T, s raft.SnapshotStore) {
		late := begin(t, s, 10, 1, []byte("late"))
		id := take(t, s, 20, 1, []byte("installed"))
		if err := late.Close(); err != nil {
			t.Fatal(err)
		}
		if got := newest(t, s); got.ID != id {
			t.Errorf("the newest is %+v", got)
		}
		if string(read(t, s, late.ID())) != "late" {
			t.Error("the late one cannot be opened")
		}
	})
}

// Lagging followers are fed while the next snapshots are taken.
func TestReadersBesideWriter(t *testing.T) {
	s := NewMemorySnapshots()
	contents := bytes.Repeat([]byte("0123456789abcdef"), 50_000)
	id := take(t, s, 1, 1, contents)
	_, slow, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range uint64(20) {
			take(t, s, 2+i, 1, contents)
		}
	})
	for range 3 {
		wg.Go(func() {
			for range 20 {
				meta, r, err := s.Open(newest(t, s).ID)
				if err != nil {
					continue // replaced since List: raft asks again
				}
				if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, contents) {
					t.Errorf("%s: %d bytes, %v", meta.ID, len(b), err)
				}
			}
		})
	}
	wg.Wait()
	if b, err := io.ReadAll(slow); err != nil || !bytes.Equal(b, contents) {
		t.Errorf("a reader lost its snapshot: %d bytes, %v", len(b), err)
	}
}

func TestMemorySinkEnded(t *testing.T) {
	s := NewMemorySnapshots()
	sink := begin(t, s, 1, 1, []byte("x"))
	sink.Cancel()
	sink.Close()
	if _, err := sink.Write([]byte("y")); err == nil {
		t.Error("wrote to a cancelled snapshot")
	}
	if newest(t, s) != nil {
		t.Error("a cancelled snapshot counts")
	}
}

func TestSnapshotsAfterCrash(t *testing.T) {
	dir := t.TempDir()
	s := newSnapshots(t, dir)
	for i := range uint64(4) {
		take(t, s, 10+i, 1, fmt.Append(nil, "state ", i))
	}
	begin(t, s, 20, 1, []byte("half")) // and the process dies
	s = newSnapshots(t, dir)
	if meta := newest(t, s); meta.Index != 13 || string(read(t, s, meta.ID)) != "state 3" {
		t.Errorf("the newest is %+v", meta)
	}
	left, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if err != nil || len(left) != retainedSnapshots {
		t.Errorf("%d snapshots on disk (%v), want %d", len(left), err, retainedSnapshots)
	}
}
