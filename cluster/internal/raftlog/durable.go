package raftlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"

	"github.com/seed48eb2e21/webfarm/cluster/internal/stdlog"
)

func init() { stdlog.Restore() } // raft-wal brings in what takes package log over

const (
	// DefaultSegmentSize is the size in bytes of the log's files, which are allocated in advance: a quarter
	// of what raft-wal takes by itself, so that a small farm's node does not begin with 64 MiB.
	DefaultSegmentSize = 16 << 20

	cachedEntries = 512 // the newest ones, which replication reads right after they were written
)

var errDecode = errors.New("what is there cannot be decoded")

// ErrClosed says that the store was closed.
var ErrClosed = errors.New("log store is closed")

// durable is raft-wal with the newest entries cached. It counts the calls that are under way, since raft-wal
// does not survive a Close in the middle of them.
type durable struct {
	dir    string
	intact bool // all of it was what had been written, when it was opened
	wal    *reopening
	cache  *raft.LogCache

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

// OpenDurable opens the log in dir, creating both if need be. An append returns once it has reached the disk.
// Nobody else may have dir open: a second OpenDurable waits for the first one's Close. A segmentSize of 0 is
// DefaultSegmentSize; it may differ from one start to the next. The error is a *CorruptError if what is there
// cannot have been written like that.
func OpenDurable(dir string, segmentSize int, logger hclog.Logger) (Store, error) {
	if segmentSize == 0 {
		segmentSize = DefaultSegmentSize
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create log directory: %w", err)
	}
	w, err := newReopening(func() (*wal.WAL, error) { return openWAL(dir, segmentSize, logger) }, logger)
	if err != nil {
		return nil, fmt.Errorf("open log in %s: %w", dir, err)
	}
	cache, err := raft.NewLogCache(cachedEntries, w)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &durable{dir: dir, intact: intactSegments(dir), wal: w, cache: cache}, nil
}

func openWAL(dir string, segmentSize int, logger hclog.Logger) (w *wal.WAL, err error) {
	defer func() {
		if p := recover(); p != nil { // of raft-wal, which trusts the lengths that it reads
			err = errDecode
		}
		var system syscall.Errno
		var bad *CorruptError
		if err != nil && !errors.As(err, &bad) &&
			(!errors.As(err, &system) || errors.Is(err, fs.ErrNotExist)) {
			err = &CorruptError{File: dir, Err: err}
		}
	}()
	if err := checkTail(dir); err != nil {
		return nil, err
	}
	list, files := checkedList{&metadb.BoltMetaDB{}}, &opening{VFS: wholeFiles{walfs.New()}}
	defer func() {
		if w == nil { // raft-wal leaves open what it has opened, and the list locked
			list.Close()
		}
		files.end(w != nil)
	}()
	return wal.Open(dir, wal.WithSegmentSize(segmentSize), wal.WithLogger(logger),
		wal.WithMetaStore(list), wal.WithSegmentFiler(segment.NewFiler(dir, files)))
}

// enter begins a call; the caller ends it with s.calls.Done.
func (s *durable) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.calls.Add(1)
	return nil
}

// during runs f unless the store is closed.
func during[T any](s *durable, f func() (T, error)) (T, error) {
	if err := s.enter(); err != nil {
		var none T
		return none, err
	}
	defer s.calls.Done()
	return f()
}

func (s *durable) do(f func() error) error {
	_, err := during(s, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

func (s *durable) FirstIndex() (uint64, error)  { return during(s, s.cache.FirstIndex) }
func (s *durable) LastIndex() (uint64, error)   { return during(s, s.cache.LastIndex) }
func (s *durable) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }
func (s *durable) IsMonotonic() bool            { return s.cache.IsMonotonic() }
func (s *durable) Set(key, value []byte) error {
	return s.do(func() error { return s.wal.Set(key, value) })
}
func (s *durable) Get(key []byte) ([]byte, error) {
	return during(s, func() ([]byte, error) { return s.wal.Get(key) })
}

// GetLog reads an entry and checks it. Whatever keeps the disk from giving it back as it was written is
// damage.
func (s *durable) GetLog(index uint64, log *raft.Log) error {
	return s.do(func() error {
		// raft-wal goes on to return entries dropped from the beginning of its newest segment, until it is
		// reopened.
		first, err := s.wal.FirstIndex()
		if err == nil && index < first {
			return raft.ErrLogNotFound
		}
		if err == nil {
			err = s.read(index, log)
		}
		if err == nil || errors.Is(err, wal.ErrNotFound) || errors.Is(err, wal.ErrClosed) {
			return err
		}
		return &CorruptError{File: s.file(index), Index: index, Err: err}
	})
}

func (s *durable) read(index uint64, log *raft.Log) (err error) {
	defer func() {
		if p := recover(); p != nil { // of raft-wal, which trusts the lengths that it reads
			err = fmt.Errorf("it cannot be decoded: %v", p)
		}
	}()
	if err := s.cache.GetLog(index, log); err != nil {
		return err
	}
	return verifyAt(index, log)
}

// file returns the path of the segment that an entry is in, as far as the names tell: they begin with the
// index of the first.
func (s *durable) file(index uint64) string {
	found := s.dir
	// sorted by name, so by the first index; an error leaves the folder, which is true as well
	entries, _ := os.ReadDir(s.dir)
	for _, e := range entries {
		begin, _, segment := strings.Cut(e.Name(), "-")
		if first, err := strconv.ParseUint(begin, 10, 64); segment && err == nil && first <= index {
			found = filepath.Join(s.dir, e.Name())
		}
	}
	return found
}

func (s *durable) StoreLogs(logs []*raft.Log) error {
	return s.do(func() error {
		if err := seal(logs); err != nil {
			return err
		}
		return s.cache.StoreLogs(logs)
	})
}

func (s *durable) DeleteRange(min, max uint64) error {
	return s.do(func() error { return s.cache.DeleteRange(min, max) })
}

func (s *durable) SetUint64(key []byte, value uint64) error {
	return s.do(func() error { return s.wal.SetUint64(key, value) })
}

func (s *durable) GetUint64(key []byte) (uint64, error) {
	return during(s, func() (uint64, error) { return s.wal.GetUint64(key) })
}

// Starved reports whether a write to a durable log waits for a file descriptor, and returns with it. Other
// stores wait for none.
func Starved(s Store) bool {
	w, ok := s.(interface{ Starved() bool })
	return ok && w.Starved()
}

// Starved is for the function of that name.
func (s *durable) Starved() bool { return s.wal.waiting.Load() > 0 }

// Abandon has what waits for a file descriptor in a durable log fail instead, from now on. The log is of no
// use afterwards, but to be closed. Other stores take no notice.
func Abandon(s Store) {
	if d, ok := s.(*durable); ok {
		d.wal.abandon()
	}
}

// Close refuses further calls, waits for those under way (for as long as the disk stalls, if it does) and
// closes the log.
func (s *durable) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	s.wal.abandon()
	s.calls.Wait()
	if !first {
		return nil
	}
	return s.wal.Close()
}
