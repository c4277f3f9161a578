package cluster

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// checkedSnapshots watches over an instance's snapshots. raft, as the leader, tries for ever to send the
// newest one, whether that can be read or not (raft issue 522); and it restores what came from a leader
// without a look at it.
type checkedSnapshots struct {
	raft.SnapshotStore
	of *snapshotting
}

// Open reports a snapshot that cannot be read, so that another one is made from the state itself. For want of
// a file descriptor it waits: raft would take an older snapshot.
func (s checkedSnapshots) Open(id string) (meta *raft.SnapshotMeta, r io.ReadCloser, err error) {
	err = s.of.node.untilFiles(s.of.ctx, "a snapshot", func() error {
		meta, r, err = s.SnapshotStore.Open(id)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !descriptors.Exhausted(err) {
		s.of.unreadable(err)
	}
	return meta, r, err
}

// List waits for a file descriptor as Open does.
func (s checkedSnapshots) List() (found []*raft.SnapshotMeta, err error) {
	err = s.of.node.untilFiles(s.of.ctx, "the list of snapshots", func() error {
		found, err = s.SnapshotStore.List()
		return err
	})
	return found, err
}

func (s checkedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration,
	at uint64,
	t raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, c, at, t)
	if err != nil {
		return nil, err
	}
	return &checkedSink{SnapshotSink: sink, of: s.of, index: index}, nil
}

// checkedSink refuses a snapshot whose last four bytes are not the checksum of all before them, before
// anything counts on it.
type checkedSink struct {
	raft.SnapshotSink
	of    *snapshotting
	live  bool
	index uint64
	size  int64
	sum   uint32 // of what was written but for tail
	tail  []byte // the last four bytes, at most
}

func (s *checkedSink) Write(p []byte) (int, error) {
	n, err := s.SnapshotSink.Write(p)
	s.size += int64(n)
	s.tail = append(s.tail, p[:n]...)
	if over := len(s.tail) - crc32.Size; over > 0 {
		s.sum = crc32.Update(s.sum, crcTable, s.tail[:over])
		s.tail = append(s.tail[:0], s.tail[over:]...)
	}
	return n, err
}

// MarkLive has a snapshot in memory be written from the state; then there is nothing to check.
func (s *checkedSink) MarkLive() bool {
	l, ok := s.SnapshotSink.(interface{ MarkLive() bool })
	s.live = ok && l.MarkLive()
	return s.live
}

func (s *checkedSink) Close() error {
	if s.live {
		return s.SnapshotSink.Close()
	}
	if len(s.tail) < crc32.Size || binary.BigEndian.Uint32(s.tail) != s.sum {
		bad := &raftlog.CorruptError{Index: s.index,
			Err: errors.New("the snapshot up to there came with a wrong checksum")}
		return errors.Join(bad, s.Cancel())
	}
	err := s.SnapshotSink.Close()
	if err == nil && s.of.node.durable() {
		s.of.stateSize.Store(s.size)
	}
	return err
}
