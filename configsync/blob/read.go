package blob

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Open returns the blob, and its size in bytes. The caller closes it. It stays readable if it is swept
// meanwhile. When it is opened for the first time since the store was, its bytes are verified; that takes
// some ten milliseconds for the largest. Errors: ErrMissing, ErrCorrupt for a blob that turned out to be
// damaged, which is now moved aside and missing, and those of the disk, which leave the blob where it is.
func (s *Store) Open(h Hash) (File, int64, error) {
	f, size, err := s.open(h, true)
	if err != nil {
		return nil, 0, err
	}
	return f, size, nil
}

// open also says whether the blob is wanted, or only to be looked at.
func (s *Store) open(h Hash, wanted bool) (File, int64, error) {
	e, at, err := s.find(h, wanted)
	if err != nil {
		return nil, 0, err
	}
	f, err := s.openAt(at)
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
		return nil, 0, s.cannotRead(h, e, err)
	}
	if err := s.verify(h, e, f); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, e.size, nil
}

// openStill opens a blob while no name changes: between a rename and the index that says so, a file is not where it
// is looked for. The entry is nil if the store does not have the blob; otherwise an error is the file's.
func (s *Store) openStill(h Hash, wanted bool) (*entry, File, error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	e, at, err := s.find(h, wanted)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.openAt(at)
	return e, f, err
}

// place is where the bytes of a blob are.
type place struct {
	name     string      // of the file
	pack     *pack       // nil = the file is of the blob alone
	in       *sharedFile // of the pack, held; nil = it has to be opened
	at, size int64       // in the pack
}

// find returns where a blob is.
func (s *Store) find(h Hash, wanted bool) (*entry, place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index[h]
	switch {
	case s.closed:
		return nil, place{}, ErrClosed
	case e == nil:
		return nil, place{}, fmt.Errorf("%w: %v", ErrMissing, h)
	}
	if wanted {
		e.used = s.now()
	}
	return e, s.placeLocked(h, e), nil
}

func (s *Store) placeLocked(h Hash, e *entry) place {
	switch {
	case e.pack == nil && e.temp == "":
		return place{name: pathOf(h)}
	case e.pack == nil:
		return place{name: e.temp}
	}
	at := place{name: e.pack.name, pack: e.pack, at: e.at, size: e.size}
	if e.pack.open != nil {
		at.in = e.pack.open.hold()
	}
	return at
}

func (s *Store) openAt(at place) (File, error) {
	if err := s.before("open"); err != nil {
		at.in.letGo()
		return nil, err
	}
	if at.pack == nil {
		f, err := s.root.Open(at.name)
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	if at.in == nil {
		var err error
		if at.in, err = s.openPack(at.pack, at.name); err != nil {
			return nil, err
		}
	}
	return &packedFile{SectionReader: io.NewSectionReader(at.in, at.at, at.size), in: at.in}, nil
}

// check is one verification, for which all wait who want the blob.
type check struct {
	done chan struct{}
	err  error // valid when done is closed
}

// verify reads the blob, unless that was done since the store was opened.
func (s *Store) verify(h Hash, e *entry, f io.ReaderAt) error {
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
func (s *Store) examine(h Hash, e *entry, f io.ReaderAt) error {
	err := s.before("read")
	if err == nil {
		err = sumOf(f, h)
	}
	switch {
	case errors.Is(err, ErrCorrupt):
		return s.lose(h, e, err)
	case err != nil:
		return s.cannotRead(h, e, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verifiedLocked(h, e)
	return nil
}

// verifiedLocked notes that a blob was read, and has the bytes that its name says.
func (s *Store) verifiedLocked(h Hash, e *entry) {
	if e.failed != nil && s.index[h] == e { // the disk can read it again
		delete(s.lost, h)
	}
	e.verified, e.failed = true, nil
}

// buffers are for reading blobs.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// sumOf returns ErrCorrupt if the bytes of f are not those of h. Any other error is one of reading.
func sumOf(f io.ReaderAt, h Hash) error {
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	sum := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{sum}, io.NewSectionReader(f, 0, MaxSize+1), buf[:])
	if err == nil && Hash(sum.Sum(nil)) != h {
		err = fmt.Errorf("%w: %v has other bytes, %d of them", ErrCorrupt, h, n)
	}
	return err
}
