package blob

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
)

// Put stores what r has as one blob, and returns its hash when it is durable. want is the hash that it must
// have; the zero Hash = any. If the store has want already, nothing is read. Nothing is kept of a blob that
// fails. Errors: ErrCorrupt for another hash than want, ErrTooLarge, ErrNoRoom, those of r, of ctx, and of
// the disk.
//
// Many blobs are stored faster by Add and one Sync.
func (s *Store) Put(ctx context.Context, want Hash, r io.Reader) (Hash, error) {
	h, err := s.Add(ctx, want, r)
	if err != nil {
		return Hash{}, err
	}
	return h, s.Durable(h)
}

// Add is Put without the wait for the disk: the blob can be opened at once, and is durable after the next
// Sync that returns nil.
func (s *Store) Add(ctx context.Context, want Hash, r io.Reader) (Hash, error) {
	if !want.IsZero() && s.touch(want) {
		return want, nil
	}
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	from := &reader{ctx, r}
	n, ended, err := readUpTo(from, buf[:mostPacked+1])
	switch {
	case err != nil:
		return Hash{}, err
	case ended:
		return s.AddBytes(want, buf[:n])
	}
	w, err := s.Create()
	if err != nil {
		return Hash{}, err
	}
	defer w.Discard()
	if _, err := w.Write(buf[:n]); err != nil {
		return Hash{}, err
	}
	if _, err := io.CopyBuffer(w, from, buf[:]); err != nil {
		return Hash{}, err
	}
	return w.Finish(want)
}

// readUpTo reads until b is full, or r has ended. What r calls io.ErrUnexpectedEOF is no end.
func readUpTo(r io.Reader, b []byte) (n int, ended bool, err error) {
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// AddBytes is Add for a blob that is in memory. Of one that has another hash nothing gets to the disk.
func (s *Store) AddBytes(want Hash, b []byte) (Hash, error) {
	h := Sum(b)
	switch {
	case !want.IsZero() && h != want:
		return Hash{}, fmt.Errorf("%w: %v is wanted, and %v came, of %d bytes", ErrCorrupt, want, h, len(b))
	case s.touch(h):
		return h, nil
	case s.packs(h, len(b)):
		return h, s.addPacked(h, b)
	}
	w, err := s.Create()
	if err != nil {
		return Hash{}, err
	}
	defer w.Discard()
	if _, err := w.write(b); err != nil {
		return Hash{}, err
	}
	return h, w.end(h)
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// touch reports whether the blob is there, and keeps it from being swept soon.
func (s *Store) touch(h Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.hereLocked(h)
	if e == nil || s.closed {
		return false
	}
	e.used = s.now()
	return true
}

// Writer is a blob that is being written. It is used by one goroutine at a time, and ends by Discard.
type Writer struct {
	s    *Store
	f    *os.File // nil: it is finished or discarded
	name string
	sum  hash.Hash
	n    int64 // bytes written, and taken from the quota
}

// Create begins a blob, for who writes it piece by piece. Errors: ErrNoRoom, ErrClosed, and those of the
// disk.
func (s *Store) Create() (*Writer, error) {
	if err := s.Room(0); err != nil {
		return nil, err
	}
	name, err := s.tempName()
	if err != nil {
		return nil, err
	}
	f, err := s.createTemp(name)
	if err != nil {
		return nil, err
	}
	return &Writer{s: s, f: f, name: name, sum: sha256.New()}, nil
}

// Write implements io.Writer. It fails with ErrTooLarge, ErrNoRoom, or an error of the disk.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.write(p)
	if err == nil {
		w.sum.Write(p)
	}
	return n, err
}

// write is Write without the sum.
func (w *Writer) write(p []byte) (int, error) {
	if w.n+int64(len(p)) > MaxSize {
		return 0, fmt.Errorf("%w: %d bytes", ErrTooLarge, int64(MaxSize))
	}
	if err := w.s.charge(int64(len(p))); err != nil {
		return 0, err
	}
	w.n += int64(len(p))
	n, err := 0, w.s.before("write")
	if err == nil {
		n, err = w.f.Write(p)
	}
	if err != nil {
		return n, fmt.Errorf("blob: %w", explain(err))
	}
	return n, nil
}

// Len returns how many bytes were written.
func (w *Writer) Len() int64 { return w.n }

// Finish has the blob in the store, as Add does. want is the hash that it must have; the zero Hash = any. If
// it has another one, the error is ErrCorrupt.
func (w *Writer) Finish(want Hash) (Hash, error) {
	h := Hash(w.sum.Sum(nil))
	if !want.IsZero() && h != want {
		return Hash{}, fmt.Errorf("%w: %v is wanted, and %v came, of %d bytes", ErrCorrupt, want, h, w.n)
	}
	return h, w.end(h)
}

// end has the blob in the store under a hash that it is known to have.
func (w *Writer) end(h Hash) error {
	if err := w.f.Close(); err != nil {
		return fmt.Errorf("blob: %w", explain(err))
	}
	return w.s.publish(w, h)
}

// publish adds a blob whose file is written and closed to the index.
func (s *Store) publish(w *Writer, h Hash) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	if e := s.hereLocked(h); e != nil { // somebody else was faster
		e.used = s.now()
		s.mu.Unlock()
		return nil
	}
	s.giveWayLocked(h)
	_, wanted := s.lost[h]
	s.index[h] = &entry{size: w.n, used: s.now(), temp: w.name, verified: true, wanted: wanted}
	delete(s.lost, h)
	s.counts.Written++
	s.counts.WrittenBytes += w.n
	s.pending = append(s.pending, h)
	s.unsynced += w.n
	most := mostPending
	if s.device != nil {
		most = mostGrouped
	}
	full := len(s.pending) >= most || s.unsynced >= mostUnsynced
	w.f = nil // it is the store's now
	s.mu.Unlock()
	if full {
		return s.Sync()
	}
	return nil
}

// Discard removes what was written, unless Finish has put it into the store. It may be called again.
func (w *Writer) Discard() {
	if w.f == nil {
		return
	}
	w.f.Close()
	w.f = nil
	w.s.root.Remove(w.name) // otherwise the next OpenStore does
	w.s.charge(-w.n)
}

// charge takes bytes from the quota, or gives them back.
func (s *Store) charge(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.config.Quota > 0 && s.used+n > s.config.Quota {
		return s.overQuotaLocked(n)
	}
	s.used += n
	return nil
}

func (s *Store) overQuotaLocked(n int64) error {
	s.cramped = true
	return fmt.Errorf("%w: %d bytes more would be over the quota of %d, of which %d are used; "+
		"sweep old releases, or raise it", ErrNoRoom, n, s.config.Quota, s.used)
}
