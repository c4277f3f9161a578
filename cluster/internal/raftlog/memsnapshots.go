package raftlog

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// memorySnapshots keeps the newest finished snapshot. A snapshot never changes once it is there, so any number of
// followers may be fed from it while the next one is written.
type memorySnapshots struct {
	mu      sync.Mutex
	made    uint64
	newest  *memorySnapshot // by term and index
	closing *memorySnapshot // the one finished last: raft opens it right after, even if it is older than newest
}

type memorySnapshot struct {
	meta   raft.SnapshotMeta
	pieces [][]byte
}

// NewMemorySnapshots returns a store of snapshots in memory.
func NewMemorySnapshots() raft.SnapshotStore { return new(memorySnapshots) }

// Create begins a snapshot. Until its Close, the one before stays the newest.
func (s *memorySnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("snapshot version %d is not supported", version)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return &memorySink{store: s, snapshot: &memorySnapshot{meta: raft.SnapshotMeta{
		Version:            version,
		ID:                 fmt.Sprintf("%d-%d-%d", term, index, s.made),
		Index:              index,
		Term:               term,
		Configuration:      configuration.Clone(),
		ConfigurationIndex: configurationIndex,
	}}}, nil
}

// List returns the newest snapshot, if there is one.
func (s *memorySnapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		return nil, nil
	}
	meta := s.newest.meta
	return []*raft.SnapshotMeta{&meta}, nil
}

// Open returns the contents of a snapshot. The reader stays good when newer snapshots come.
func (s *memorySnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range []*memorySnapshot{s.newest, s.closing} {
		if have != nil && have.meta.ID == id {
			meta := have.meta
			return &meta, io.NopCloser(&pieceReader{pieces: have.pieces}), nil
		}
	}
	return nil, nil, fmt.Errorf("there is no snapshot %q (any more)", id)
}

func (s *memorySnapshots) finish(done *memorySnapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = done
	if s.newest == nil || !older(done.meta, s.newest.meta) {
		s.newest = done
	}
}

func older(a, b raft.SnapshotMeta) bool {
	return a.Term < b.Term || a.Term == b.Term && a.Index < b.Index
}

const pieceSize = 256 << 10

// memorySink takes the contents of one snapshot, in pieces: growing one slice would copy all of it again and again.
type memorySink struct {
	store    *memorySnapshots
	snapshot *memorySnapshot
	ended    bool
}

var errSinkEnded = errors.New("the snapshot was closed or cancelled before")

func (k *memorySink) ID() string { return k.snapshot.meta.ID }

func (k *memorySink) Write(p []byte) (int, error) {
	if k.ended {
		return 0, errSinkEnded
	}
	n := len(p)
	for len(p) > 0 {
		last := len(k.snapshot.pieces) - 1
		if last < 0 || len(k.snapshot.pieces[last]) == cap(k.snapshot.pieces[last]) {
			k.snapshot.pieces = append(k.snapshot.pieces, make([]byte, 0, pieceSize))
			continue
		}
		piece := k.snapshot.pieces[last]
		room := min(len(p), cap(piece)-len(piece))
		k.snapshot.pieces[last] = append(piece, p[:room]...)
		p = p[room:]
	}
	k.snapshot.meta.Size += int64(n)
	return n, nil
}

// Close makes the snapshot the newest one.
func (k *memorySink) Close() error {
	if !k.ended {
		k.ended = true
		k.store.finish(k.snapshot)
	}
	return nil
}

// Cancel drops the snapshot.
func (k *memorySink) Cancel() error {
	k.ended = true
	return nil
}

type pieceReader struct {
	pieces [][]byte
	offset int // in pieces[0]
}

func (r *pieceReader) Read(p []byte) (int, error) {
	for len(r.pieces) > 0 && r.offset == len(r.pieces[0]) {
		r.pieces, r.offset = r.pieces[1:], 0
	}
	if len(r.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.pieces[0][r.offset:])
	r.offset += n
	return n, nil
}
