package farmctl

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/tempdir"
)

// spool keeps what is to be published, each blob once, in one temporary file. It is a content.Sink, and a
// publish.Source.
type spool struct {
	f *os.File

	mu   sync.Mutex
	end  int64
	have map[blob.Hash]span // guarded by mu
}

// span is where a blob is in the file.
type span struct{ at, size int64 }

func newSpool() (*spool, error) {
	f, err := tempdir.File("webfarm-publish")
	if err != nil {
		return nil, err
	}
	return &spool{f: f, have: map[blob.Hash]span{}}, nil
}

// Close removes the file.
func (s *spool) Close() error { return tempdir.Discard(s.f) }

// Put implements content.Sink.
func (s *spool) Put(ctx context.Context, want blob.Hash, r io.Reader) (blob.Hash, error) {
	b, err := io.ReadAll(io.LimitReader(r, blob.MaxSize+1))
	switch {
	case err != nil:
		return blob.Hash{}, err
	case ctx.Err() != nil:
		return blob.Hash{}, ctx.Err()
	case len(b) > blob.MaxSize:
		return blob.Hash{}, blob.ErrTooLarge
	}
	h := blob.Sum(b)
	if want != h && !want.IsZero() {
		return blob.Hash{}, blob.ErrCorrupt
	}
	s.mu.Lock()
	at, there := s.end, false
	if _, there = s.have[h]; !there {
		s.end += int64(len(b))
	}
	s.mu.Unlock()
	if there {
		return h, nil
	}
	if _, err := s.f.WriteAt(b, at); err != nil {
		return blob.Hash{}, fmt.Errorf("what is to be published is kept in %s meanwhile: %w", os.TempDir(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.have[h] = span{at, int64(len(b))}
	return h, nil
}

// Open implements publish.Source.
func (s *spool) Open(h blob.Hash) (blob.File, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.have[h]
	if !ok {
		return nil, 0, blob.ErrMissing
	}
	return spooled{io.NewSectionReader(s.f, at.at, at.size)}, at.size, nil
}

// spooled is an open blob of a spool.
type spooled struct{ *io.SectionReader }

func (spooled) Close() error { return nil }
