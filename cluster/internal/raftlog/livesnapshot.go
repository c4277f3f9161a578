package raftlog

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

var errUnlike = errors.New("a state machine does not write the same snapshot twice")

// openLive writes the state, as it is now, for the snapshot that meta describes. raft has to know the size
// before, so it is written twice, the first time to nowhere.
func (s *MemorySnapshots) openLive(meta raft.SnapshotMeta, freeze func() (Frozen, error),
	copies bool) (*raft.SnapshotMeta,
	io.ReadCloser, error) {
	now, err := freeze()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case now.Index < meta.Index:
		return nil, nil, fmt.Errorf("the state is at entry %d, and its snapshot at %d", now.Index, meta.Index)
	case now.Index > meta.Index && now.Term == 0:
		return nil, nil, fmt.Errorf("the term of entry %d is not known", now.Index)
	case now.Index > meta.Index:
		meta.Index, meta.Term = now.Index, now.Term
	}
	if now.ConfigurationIndex > 0 {
		meta.Configuration, meta.ConfigurationIndex = now.Configuration.Clone(), now.ConfigurationIndex
	}
	if copies {
		k := &memorySink{store: s, snapshot: &memorySnapshot{}}
		if err := now.Write(k); err != nil {
			return nil, nil, err
		}
		meta.Size = k.snapshot.meta.Size
		return &meta, io.NopCloser(&pieceReader{pieces: k.snapshot.pieces}), nil
	}
	var n counter
	if err := now.Write(&n); err != nil {
		return nil, nil, err
	}
	meta.Size = int64(n)
	r, w := io.Pipe()
	go func() { w.CloseWithError(s.writeAgain(now, w, meta.Size)) }()
	return &meta, r, nil
}

// writeAgain writes what had size bytes before.
func (s *MemorySnapshots) writeAgain(now Frozen, w io.Writer, size int64) error {
	var n counter
	if err := now.Write(io.MultiWriter(w, &n)); err != nil {
		return err
	}
	if int64(n) == size {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copies = true
	return errUnlike
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
