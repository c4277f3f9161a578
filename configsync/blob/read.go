package blob

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Open returns the blob, and its size in bytes. The caller closes it. It stays readable if it is swept
// meanwhile. When it is opened for the first time since the store was, its bytes are verified; that takes
// some ten milliseconds for the largest. Errors: ErrMissing, ErrCorrupt for a blob that turned out to be
// damaged, which is now moved aside and missing, and those of the disk.
func (s *Store) Open(h Hash) (File, int64, error) {
	f, size, err := s.open(h, true)
	if err != nil {
		return nil, 0, err
	}
	return f, size, nil
}

// open also says whether the blob is wanted, or only to be looked at.
func (s *Store) open(h Hash, wanted bool) (*os.File, int64, error) {
	e, name, err := s.find(h, wanted)
	if err != nil {
		return nil, 0, err
	}
	f, err := s.root.Open(name)
	if isGone(err) { // it has just got its name, or was swept, or somebody has removed it
		e, f, err = s.openStill(h, wanted)
		if e == nil {
			return nil, 0, err
		}
		if isGone(err) {
			return nil, 0, s.lose(h, e, err)
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("blob: %w", explain(err))
	}
	if err := s.verify(h, e, f); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, e.size, nil
}

// openStill opens a blob while no name changes: between a rename and the index that says so, a file is not where it
// is looked for. The entry is nil if the store does not have the blob; otherwise an error is the file's.
func (s *Store) openStill(h Hash, wanted bool) (*entry, *os.File, error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	e, name, err := s.find(h, wanted)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.root.Open(name)
	return e, f, err
}

func (s *Store) find(h Hash, wanted bool) (e *entry, name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e = s.index[h]; {
	case s.closed:
		return nil, "", ErrClosed
	case e == nil:
		return nil, "", fmt.Errorf("%w: %v", ErrMissing, h)
	case e.temp != "":
		name = e.temp
	default:
		name = pathOf(h)
	}
	if wanted {
		e.used = s.now()
	}
	return e, name, nil
}

// check is one verification, for which all wait who want the blob.
type check struct {
	done chan struct{}
	err  error // valid when done is closed
}

// verify reads the blob, unless that was done since the store was opened.
func (s *Store) verify(h Hash, e *entry, f *os.File) error {
	s.mu.Lock()
	if e.verified {
		s.mu.Unlock()
		return nil
	}
	if c := s.checking[h]; c != nil {
		s.mu.Unlock()
		<-c.done
		return c.err
	}
	c := &check{done: make(chan struct{})}
	s.checking[h] = c
	s.mu.Unlock()

	c.err = s.examine(h, e, f)
	s.mu.Lock()
	delete(s.checking, h)
	s.mu.Unlock()
	close(c.done)
	return c.err
}

// examine compares the bytes of a blob with its name, and moves it aside if they differ.
func (s *Store) examine(h Hash, e *entry, f *os.File) error {
	n, err := sumOf(f, h)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		e.verified = true
		return nil
	}
	if n >= 0 && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w: it cannot be read after %d bytes: %w", ErrCorrupt, n, err)
	}
	return s.lose(h, e, err)
}

// buffers are for reading blobs.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// sumOf returns ErrCorrupt if the bytes of f are not those of h, and how many there are.
func sumOf(f io.ReaderAt, h Hash) (n int64, err error) {
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	sum := sha256.New()
	n, err = io.CopyBuffer(struct{ io.Writer }{sum}, io.NewSectionReader(f, 0, MaxSize+1), buf[:])
	if err == nil && Hash(sum.Sum(nil)) != h {
		err = fmt.Errorf("%w: %v has other bytes, %d of them", ErrCorrupt, h, n)
	}
	return n, err
}
