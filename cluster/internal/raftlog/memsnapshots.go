package raftlog

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// MemorySnapshots keeps the newest finished snapshot in memory, but not the state a second time: what the
// state holds anyway is written when somebody opens the snapshot. Only one that came from elsewhere has
// contents of its own, until it is restored.
type MemorySnapshots struct {
	mu     sync.Mutex
	made   uint64
	newest *memorySnapshot // by term and index
	// the one finished last: raft opens it right after, even if it is older than newest
	closing *memorySnapshot
	freeze  func() (Frozen, error)
	copies  bool // the state does not write the same twice, so what is sent is copied before
}

type memorySnapshot struct {
	meta   raft.SnapshotMeta
	live   bool // its contents are those of the state
	pieces [][]byte
}

// Frozen is the state at one moment, which may be later than that of the snapshot it is written for.
type Frozen struct {
	Index              uint64 // of the last entry applied
	Term               uint64 // of that entry; 0 = not known
	Configuration      raft.Configuration
	ConfigurationIndex uint64 // 0 = the configuration has not changed since the state was restored
	Write              func(io.Writer) error
}

// NewMemorySnapshots returns a store of snapshots in memory.
func NewMemorySnapshots() *MemorySnapshots { return new(MemorySnapshots) }

// Serve has snapshots made from now on by MarkLive, and those that Restored is told of, be written from the
// state, which freeze returns as it is at that moment.
func (s *MemorySnapshots) Serve(freeze func() (Frozen, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freeze = freeze
}

// Restored notes that the state has what the snapshots up to an index hold, so they need no contents any
// more.
func (s *MemorySnapshots) Restored(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range []*memorySnapshot{s.newest, s.closing} {
		if have != nil && s.freeze != nil && have.meta.Index <= index {
			have.live, have.pieces = true, nil
		}
	}
}

// Create begins a snapshot. Until its Close, the one before stays the newest.
func (s *MemorySnapshots) Create(version raft.SnapshotVersion, index, term uint64,
	configuration raft.Configuration,
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
func (s *MemorySnapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		return nil, nil
	}
	meta := s.newest.meta
	return []*raft.SnapshotMeta{&meta}, nil
}

// Open returns the contents of a snapshot; of a live one what the state is now, and the description says so.
// The reader stays good when newer snapshots come.
func (s *MemorySnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	var found *memorySnapshot
	for _, have := range []*memorySnapshot{s.newest, s.closing} {
		if have != nil && have.meta.ID == id {
			copied := *have
			found = &copied
		}
	}
	freeze, copies := s.freeze, s.copies
	s.mu.Unlock()
	switch {
	case found == nil:
		return nil, nil, fmt.Errorf("there is no snapshot %q (any more)", id)
	case found.live:
		return s.openLive(found.meta, freeze, copies)
	}
	return &found.meta, io.NopCloser(&pieceReader{pieces: found.pieces}), nil
}

func (s *MemorySnapshots) finish(done *memorySnapshot) {
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

// memorySink takes the contents of one snapshot, in pieces: growing one slice would copy all of it again and
// again.
type memorySink struct {
	store    *MemorySnapshots
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

// MarkLive has the snapshot written from the state when somebody opens it, and reports whether that is
// possible; nothing is to be written to the sink then.
func (k *memorySink) MarkLive() bool {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	k.snapshot.live = k.store.freeze != nil && k.snapshot.meta.Size == 0
	return k.snapshot.live
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
