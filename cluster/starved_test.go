package cluster

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

var errNoFile = &fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}

// starvingStore is a log whose writes wait for a file descriptor while it is told to.
type starvingStore struct {
	raftlog.Store
	starves atomic.Bool
}

func (s *starvingStore) Starved() bool { return s.starves.Load() }

// bareInstance is an instance without Raft, of a node that does nothing.
func bareInstance(t *testing.T) *instance {
	b := newBase(Config{Logger: slog.New(slog.DiscardHandler)}, hooks{})
	b.ctx = t.Context()
	return newInstance(&instances{base: b}, "n1.1", 1)
}

// A write that waits for a descriptor never ends the node, however long. One that the disk does not answer
// does.
func TestStarvedWriteEndsNoNode(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		in := bareInstance(t)
		store := &starvingStore{}
		store.starves.Store(true)
		in.storage.files = store
		var w logWrite
		if !in.stalls.notePoisoned(&w, time.Second) {
			t.Fatal("the write has not returned, and the instance goes on")
		}
		time.Sleep(time.Hour)
		if err := in.node.failure.get(); err != nil {
			t.Fatalf("ended by %v", err)
		}
		store.starves.Store(false)
		time.Sleep(stallPatience + time.Second)
		if err := in.node.failure.get(); !errors.Is(err, ErrStalled) {
			t.Errorf("the disk does not answer, and the node ends with %v", err)
		}
	})
}

// emptyHanded is a store of snapshots that finds no descriptor a number of times: for each of the two ways to
// open a snapshot.
type emptyHanded struct {
	raft.SnapshotStore
	opens, lists int
}

func (s *emptyHanded) List() ([]*raft.SnapshotMeta, error) {
	if s.lists--; s.lists >= 0 {
		return nil, errNoFile
	}
	return s.SnapshotStore.List()
}

func (s *emptyHanded) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if s.opens--; s.opens >= 0 {
		return nil, nil, errNoFile
	}
	return s.SnapshotStore.Open(id)
}

// A snapshot that cannot be opened for want of a descriptor is waited for. It is neither damaged nor missing.
func TestSnapshotWaitsForDescriptor(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		in := bareInstance(t)
		snaps := raftlog.NewMemorySnapshots()
		sink, err := snaps.Create(raft.SnapshotVersionMax, 7, 1, raft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		poor := &emptyHanded{SnapshotStore: snaps, opens: 20, lists: 20}
		s := checkedSnapshots{poor, in.snapshotting}
		begin := time.Now()
		listed, err := s.List()
		if err != nil || len(listed) != 1 || time.Since(begin) < 10*time.Second {
			t.Fatalf("listed %v, %v after %v", listed, err, time.Since(begin))
		}
		meta, r, err := s.Open(listed[0].ID)
		if err != nil || meta.Index != 7 || poor.opens >= 0 {
			t.Fatalf("opened %v, %v", meta, err)
		}
		r.Close()
		if len(in.snapshotting.now) > 0 || !in.snapshotting.unreadableSince.IsZero() {
			t.Error("the snapshot counts as one that cannot be read")
		}
		poor.opens = 1 << 30
		time.AfterFunc(time.Minute, in.cancel)
		if _, _, err := s.Open(listed[0].ID); !errors.Is(err, syscall.EMFILE) || len(in.snapshotting.now) > 0 {
			t.Errorf("when the node ends: %v", err)
		}
	})
}
