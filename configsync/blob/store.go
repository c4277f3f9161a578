package blob

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/dirlock"
	"github.com/seed48eb2e21/webfarm/internal/tempdir"
)

// MaxSize is the size of the largest blob, in bytes. What is larger is cut into several.
const MaxSize = 16 << 20

const (
	defaultQuota   = 16 << 30
	defaultReserve = 256 << 20
)

// StoreConfig says where a Store keeps its blobs. The zero StoreConfig is for a farm in memory.
type StoreConfig struct {
	// Dir is the folder, which is made if need be. It belongs to the store alone. "" = a temporary one, which
	// Close removes; and if the process is killed, the next one that opens such a store.
	Dir string

	// Quota is how many bytes all blobs together may have; 0 = 16 GiB, negative = any number.
	Quota int64

	// Reserve is how many bytes of the disk stay free for others, such as the farm's log; 0 = 256 MiB, negative
	// = none. Systems other than Linux are not asked for what is free: there the quota alone counts.
	Reserve int64

	// Corrupt, if any, is told of each blob that was found to be damaged or gone, or that the disk fails to read, and
	// by OpenStore and Scrub of each pack, a file of many blobs, whose table is damaged or cannot be read. It is called by
	// the goroutine that found it, and must not wait.
	Corrupt func(Hash, error)
}

// Store is blobs in a folder. All methods may be called by several goroutines at once.
type Store struct {
	config StoreConfig
	root   *os.Root
	lock   *os.File     // nil: a temporary folder
	temp   *tempdir.Dir // nil: the folder of config, which has to outlast the process
	device *os.File     // what syncDisk takes; nil = each file is synced by itself
	group  int          // files that are synced by syncDisk, at least: groupFrom, but for tests

	syncing   sync.Mutex // one Sync at a time
	moving    sync.Mutex // names of blobs change one at a time, with the index
	packing   packing    // after syncing, and before mu
	retrying  sync.Mutex // packs that could not be read are tried by one goroutine at a time; before all but repacking
	repacking sync.Mutex // packs are written anew by one goroutine at a time; before all others, syncing too
	loose     int        // looseFirst, but for tests
	aside     int64      // mostAside, but for tests

	mu       sync.Mutex
	index    map[Hash]*entry         // guarded by mu
	lost     map[Hash]int64          // sizes of blobs that are damaged, gone or unreadable; guarded by mu
	wake     chan struct{}           // has room for one: something was lost
	checking map[Hash]*check         // guarded by mu
	pending  []Hash                  // not yet durable, and not in a pack; guarded by mu
	small    int                     // small blobs that were added since the last Sync began; guarded by mu
	known    map[*pack]struct{}      // guarded by mu
	unread   map[Hash]struct{}       // names of packs whose tables the disk failed to read; guarded by mu
	warm     []*pack                 // that stay open, those of longest ago first; guarded by mu
	dirty    map[string]struct{}     // folders with new names; guarded by mu
	unsynced int64                   // bytes that are not yet durable; guarded by mu
	used     int64                   // bytes of all blobs on the disk, and of those that are being written; guarded by mu
	cramped  bool                    // there was no room for something since packs were last reclaimed; guarded by mu
	temps    uint64                  // names given; guarded by mu
	counts   Stats                   // Blobs and Bytes apart; guarded by mu
	syncErr  error                   // the last one of Sync; guarded by mu
	closed   bool                    // guarded by mu
	now      func() time.Time        // for tests
	free     func() (space, error)   // for tests
	waiting  func() int64            // for tests
	step     func(step string) error // for tests: called before each thing that the disk does; nil = nothing
}

// entry is what the store knows of a blob without asking the disk.
type entry struct {
	size     int64
	used     time.Time // when it was last put, opened or asked for
	temp     string    // its name while it is not durable; "" = it is, or it is in a pack
	pack     *pack     // nil = it has a file of its own
	at       int64     // where it begins in the pack
	verified bool      // since the store was opened
	wanted   bool      // it was lost, and is wanted again if it cannot be made durable
	failed   error     // of the disk, which could not read it when it was last tried; nil = it could, or was not
}

// durable reports whether a blob has its name on the disk. The Store's mu is held.
func (e *entry) durable() bool { return e.temp == "" && (e.pack == nil || !e.pack.temp) }

// Stats are figures of a Store since it was opened.
type Stats struct {
	Blobs, Bytes int64 // what is there now
	Quota        int64 // bytes; 0 = none

	Written, WrittenBytes   int64 // blobs put that were not there before
	Corrupt                 int64 // what Corrupt was told of: damaged, gone, or not to be read
	Swept, SweptBytes       int64
	Scrubbed, ScrubbedBytes int64
}

// OpenStore opens a folder of blobs. It removes what an earlier process left unfinished. Errors: ErrInUse if
// another store has the folder open, and those of the disk.
func OpenStore(config StoreConfig) (s *Store, err error) {
	config.Quota = cmp.Or(config.Quota, defaultQuota)
	config.Reserve = cmp.Or(config.Reserve, defaultReserve)
	s = &Store{config: config, now: time.Now, group: groupFrom, loose: looseFirst, aside: mostAside,
		index: make(map[Hash]*entry), lost: make(map[Hash]int64), wake: make(chan struct{}, 1),
		checking: make(map[Hash]*check), dirty: make(map[string]struct{}), known: make(map[*pack]struct{}),
		unread: make(map[Hash]struct{})}
	s.free, s.waiting = s.freeOnDisk, waiting
	if err := s.openDir(); err != nil {
		s.release()
		return nil, fmt.Errorf("blob: the store in %s: %w", s.config.Dir, explain(err))
	}
	return s, nil
}

func (s *Store) openDir() (err error) {
	if s.config.Dir == "" {
		if s.temp, err = tempdir.Make("webfarm-blobs"); err != nil {
			return err
		}
		s.config.Dir = s.temp.Path()
	} else if err := os.MkdirAll(s.config.Dir, 0o700); err != nil {
		return err
	} else if s.lock, err = dirlock.Take(filepath.Join(s.config.Dir, "lock")); err != nil {
		return err
	}
	if s.root, err = os.OpenRoot(s.config.Dir); err != nil {
		return err
	}
	if !s.temporary() {
		s.device = openDisk(s.root)
	}
	if err := s.prepare(); err != nil {
		return err
	}
	return s.load()
}

// temporary reports whether nothing has to outlast the process.
func (s *Store) temporary() bool { return s.temp != nil }

// Close makes what is there durable and lets go of the folder. Open files stay readable.
func (s *Store) Close() error {
	err := s.Sync()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	return errors.Join(err, s.release())
}

func (s *Store) release() (err error) {
	s.mu.Lock()
	for p := range s.known {
		p.open.letGo()
		p.open = nil
	}
	s.mu.Unlock()
	if s.device != nil {
		err = s.device.Close()
	}
	if s.root != nil {
		err = errors.Join(err, s.root.Close())
	}
	if s.temp != nil {
		err = errors.Join(err, s.temp.Remove())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// Has reports whether the blob is there. One that the disk failed to read when it was last tried is not.
func (s *Store) Has(h Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hereLocked(h) != nil && !s.closed
}

// hereLocked returns the entry of a blob that is there, as far as is known; nil if it is not.
func (s *Store) hereLocked(h Hash) *entry {
	if e := s.index[h]; e != nil && e.failed == nil {
		return e
	}
	return nil
}

// Missing returns those of refs that the store does not have, each once. What it has is safe from Sweep for
// the time that Sweep is given, counted from now. A blob of another size than its ref says is missing, and so is one
// that the disk failed to read when it was last tried.
func (s *Store) Missing(refs []Ref) []Ref {
	var missing []Ref
	seen := make(map[Hash]bool)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, r := range refs {
		switch e := s.hereLocked(r.Hash); {
		case e != nil && e.size == r.Size:
			e.used = now
		case !seen[r.Hash]:
			seen[r.Hash] = true
			missing = append(missing, r)
		}
	}
	return missing
}

// Stats returns the figures of now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.counts
	st.Blobs, st.Bytes, st.Quota = int64(len(s.index)), 0, max(s.config.Quota, 0)
	for _, e := range s.index {
		st.Bytes += e.size
	}
	return st
}
