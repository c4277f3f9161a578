package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// clock is a store's, which a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) set(s *Store) {
	c.now = time.Now()
	s.now = func() time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.now
	}
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	var c clock
	c.set(s)
	ctx := blobtest.Context(t)
	refs := fill(t, s, 6, 1000)
	keepFirst := func(h Hash) bool { return h == refs[0].Hash }
	if freed, err := s.Sweep(ctx, keepFirst, time.Hour); freed != 0 || err != nil {
		t.Fatalf("too early: %d, %v", freed, err)
	}
	c.pass(59 * time.Minute)
	s.Missing(refs[1:2]) // somebody finds that it is there
	if _, err := read(s, refs[2].Hash); err != nil {
		t.Fatal(err)
	}
	if h, err := s.Put(ctx, refs[3].Hash, nil); h != refs[3].Hash || err != nil {
		t.Fatal(err)
	}
	open, _, err := s.Open(refs[5].Hash)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	s.index[refs[5].Hash].used = s.index[refs[4].Hash].used
	c.pass(time.Minute)
	looks := func(Hash) bool { // somebody finds that it is there while the sweep is about to remove it
		s.Missing(refs)
		return false
	}
	used := map[Hash]time.Time{}
	for h, e := range s.index {
		used[h] = e.used
	}
	if freed, err := s.Sweep(ctx, looks, time.Hour); freed != 0 || err != nil {
		t.Fatalf("what was just found to be there: %d bytes, %v", freed, err)
	}
	for h, e := range s.index {
		e.used = used[h]
	}
	if freed, err := s.Sweep(ctx, keepFirst, time.Hour); freed != 2000 || err != nil {
		t.Fatalf("after an hour: %d bytes, %v", freed, err)
	}
	holds(t, s, refs[:4])
	b := make([]byte, 1000)
	if _, err := open.ReadAt(b, 0); err != nil || Sum(b) != refs[5].Hash {
		t.Errorf("what was open: %v", err)
	}
	for _, r := range refs[4:] {
		if name := r.Hash.String(); s.Has(r.Hash) || exists(filepath.Join(dir, "sha256", name[:2], name[2:])) {
			t.Errorf("%v is there", r.Hash)
		}
	}
	if st := s.Stats(); st.Swept != 2 || st.SweptBytes != 2000 || st.Bytes != 4000 || s.used != 4000 {
		t.Errorf("%+v, %d bytes taken", st, s.used)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	c.pass(2 * time.Hour)
	if _, err := s.Sweep(ended, keepFirst, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: %v", err)
	}
	s.step = func(step string) error {
		if step == "sweep" {
			return os.ErrPermission
		}
		return nil
	}
	if _, err := s.Sweep(ctx, keepFirst, time.Hour); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a disk that refuses: %v", err)
	}
	holds(t, s, refs[:4])
}

func putAndRead(t *testing.T, s *Store, b []byte) {
	h, err := s.Add(blobtest.Context(t), Hash{}, bytes.NewReader(b))
	if err != nil {
		t.Errorf("put: %v", err)
	}
	if got, err := read(s, h); err == nil && !bytes.Equal(got, b) {
		t.Errorf("%q is read, and not %q", got, b)
	} else if err != nil && !errors.Is(err, ErrMissing) {
		t.Errorf("read: %v", err)
	}
	if err := s.Sync(); err != nil {
		t.Errorf("sync: %v", err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Somebody sweeps all the time while others put the same blobs and look for them: what was found to be there
// is there.
func TestSweepBesidePut(t *testing.T) {
	s := openStore(t, StoreConfig{Dir: t.TempDir()})
	ctx, stop := context.WithCancel(blobtest.Context(t))
	var sweeper, putters sync.WaitGroup
	sweeper.Go(func() {
		for ctx.Err() == nil {
			s.Sweep(ctx, func(Hash) bool { return false }, 0)
		}
	})
	for range 4 {
		putters.Go(func() {
			for i := 0; s.Stats().Swept < 50; i++ {
				putAndRead(t, s, fmt.Appendf(nil, "%d", i%5))
			}
		})
	}
	putters.Wait()
	stop()
	sweeper.Wait()
	report, err := s.Scrub(context.Background(), 0)
	if err != nil || len(report.Lost) > 0 || len(s.Lost()) > 0 {
		t.Errorf("%+v, %v, %v", report, err, s.Lost())
	}
	if st := s.Stats(); st.Bytes != s.used {
		t.Errorf("%d bytes are there, and %d are taken", st.Bytes, s.used)
	}
}

// What was damaged while the store was closed is found when it is first opened, is told of, and is never
// given to anybody.
func TestDamagedAtStart(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	refs := fill(t, s, 4, 1000)
	s.Close()
	name := blobtest.Damage(t, dir, refs[0].Hash.String())
	empty := filepath.Join(dir, "sha256", refs[1].Hash.String()[:2], refs[1].Hash.String()[2:])
	if err := os.Truncate(empty, 0); err != nil {
		t.Fatal(err)
	}
	var told []Hash
	s = openStore(t, StoreConfig{Dir: dir, Corrupt: func(h Hash, err error) {
		if err != nil {
			told = append(told, h)
		}
	}})
	if missing := s.Missing(refs); len(missing) != 1 || missing[0] != refs[1] {
		t.Errorf("of another size: %v", missing)
	}
	for _, want := range []error{ErrCorrupt, ErrMissing} {
		if _, _, err := s.Open(refs[0].Hash); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if _, _, err := s.Open(refs[1].Hash); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an empty file: %v", err)
	}
	if exists(name) || s.Has(refs[0].Hash) || len(told) != 2 || len(s.Lost()) != 2 || s.Stats().Corrupt != 2 {
		t.Errorf("told of %v, lost %v, %+v", told, s.Lost(), s.Stats())
	}
	aside, err := filepath.Glob(filepath.Join(dir, "quarantine", "*-"+refs[0].Hash.String()))
	if len(aside) != 1 {
		t.Errorf("in quarantine: %v, %v", aside, err)
	}
	holds(t, s, refs[2:])
	b := blobtest.Random(1, 1000)
	if _, err := s.Put(blobtest.Context(t), refs[0].Hash, bytes.NewReader(b)); err != nil || len(s.Lost()) != 1 {
		t.Errorf("put again: %v, lost %v", err, s.Lost())
	}
	holds(t, s, refs[:1])
}

// Damage that comes while the store is open is found by Scrub. So is a file that somebody has removed.
func TestScrub(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	refs := fill(t, s, 30, 1000)
	holds(t, s, refs)
	blobtest.Damage(t, dir, refs[3].Hash.String())
	if err := os.Remove(blobtest.Damage(t, dir, refs[4].Hash.String())); err != nil {
		t.Fatal(err)
	}
	report, err := s.Scrub(blobtest.Context(t), 0)
	if err != nil || len(report.Lost) != 2 || report.Blobs != 30 || report.Bytes != 30_000 {
		t.Errorf("%+v, %v", report, err)
	}
	select {
	case <-s.Loss():
	default:
		t.Error("nobody was woken")
	}
	if err := s.Verify(refs[3].Hash); !errors.Is(err, ErrMissing) {
		t.Errorf("%v", err)
	}
	if st := s.Stats(); st.Scrubbed != 30 || st.ScrubbedBytes != 30_000 || st.Blobs != 28 {
		t.Errorf("%+v", st)
	}
	holds(t, s, append(refs[:3:3], refs[5:]...))
}

// Quarantine keeps the last few.
func TestQuarantineIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	refs := fill(t, s, 20, 100)
	for _, r := range refs {
		blobtest.Damage(t, dir, r.Hash.String())
	}
	if report, err := s.Scrub(blobtest.Context(t), 0); len(report.Lost) != 20 || err != nil {
		t.Fatalf("%+v, %v", report, err)
	}
	aside, err := os.ReadDir(filepath.Join(dir, "quarantine"))
	if err != nil || len(aside) != mostQuarantined ||
		!strings.HasPrefix(aside[7].Name(), "00000000000000000020-") {
		t.Errorf("%v, %v", aside, err)
	}
	s.Forget(refs[0].Hash)
	if _, err := s.Sweep(blobtest.Context(t), func(h Hash) bool { return h == refs[1].Hash }, 0); err != nil {
		t.Fatal(err)
	}
	if lost := s.Lost(); len(lost) != 1 || lost[0] != refs[1] {
		t.Errorf("what nobody needs is remembered: %v", lost)
	}
}

// What is kept aside has a size that is bounded, too, but for the last one; and it makes room on a full disk.
func TestQuarantineIsBounded_Bytes(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	s.aside = 250
	lose := func(from, count, size int) {
		t.Helper()
		for i := range count {
			h, err := s.Put(blobtest.Context(t), Hash{}, bytes.NewReader(blobtest.Random(uint64(from+i), size)))
			if err != nil {
				t.Fatal(err)
			}
			blobtest.Damage(t, dir, h.String())
			if err := s.Verify(h); !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
		}
	}
	aside := func(want int) {
		t.Helper()
		if got := len(files(t, dir, quarantineDir)); got != want {
			t.Errorf("%d are kept aside, not %d", got, want)
		}
	}
	lose(0, 5, 100)
	aside(2)
	lose(10, 1, 1000)
	aside(1)
	if _, err := s.Sweep(blobtest.Context(t), func(Hash) bool { return true }, 0); err != nil {
		t.Error(err)
	}
	aside(1)
	s.config.Reserve = 1 << 20
	s.free = func() (space, error) { return space{bytes: 0, files: -1}, nil }
	if freed, err := s.Sweep(blobtest.Context(t), func(Hash) bool { return true }, 0); freed < 1000 || err != nil {
		t.Errorf("%d bytes are free, %v", freed, err)
	}
	aside(0)
}

// A scrub takes the time that it is to take, whatever there is.
func TestScrubTakesItsTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := openStore(t, StoreConfig{})
		fill(t, s, 100, 10_000)
		begin := time.Now()
		report, err := s.Scrub(t.Context(), 24*time.Hour)
		took := time.Since(begin)
		if err != nil || report.Blobs != 100 || took < 23*time.Hour || took > 25*time.Hour {
			t.Errorf("%+v, %v, in %v", report, err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		report, err = s.Scrub(ctx, 24*time.Hour)
		if !errors.Is(err, context.DeadlineExceeded) || report.Blobs > 10 {
			t.Errorf("cut short: %+v, %v", report, err)
		}
	})
}

// Many open a blob for the first time: it is verified once, and all wait for that.
func TestVerifyOnce(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	refs := fill(t, s, 2, 1<<20)
	s.Close()
	s = openStore(t, StoreConfig{Dir: dir})
	blobtest.Damage(t, dir, refs[1].Hash.String())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if b, err := read(s, refs[0].Hash); err != nil || Sum(b) != refs[0].Hash {
				t.Errorf("the good one: %v", err)
			}
			if _, err := read(s, refs[1].Hash); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrMissing) {
				t.Errorf("the damaged one: %v", err)
			}
		})
	}
	wg.Wait()
	if st := s.Stats(); st.Corrupt != 1 || len(s.checking) > 0 {
		t.Errorf("%+v", st)
	}
}
