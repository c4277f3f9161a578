package blob

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
)

// packed returns a store that puts every small blob into a pack, with some in one.
func packed(t *testing.T, dir string, count, size int) (*Store, []Ref) {
	t.Helper()
	s := openStore(t, StoreConfig{Dir: dir})
	s.loose = 0
	return s, fill(t, s, count, size)
}

// files returns the files of a folder of the store, with all below it.
func files(t *testing.T, dir ...string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir...), func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The first few small blobs between two syncs get a file each, the others one together, and large ones one each. What
// one process has written the next one has.
func TestPack(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	refs := fill(t, s, looseFirst+100, 1000)
	refs = append(refs, fill(t, s, 1, mostPacked+1)...)
	empty, err := s.AddBytes(Hash{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	refs = append(refs, Ref{Hash: empty})
	holds(t, s, refs)
	if b, err := read(s, empty); len(b) != 0 || err != nil {
		t.Errorf("what is empty: %v", err)
	}
	if err := s.Durable(empty, refs[0].Hash, refs[100].Hash); err != nil {
		t.Fatal(err)
	}
	if n, packs := len(files(t, dir, blobDir)), len(files(t, dir, packDir)); n != looseFirst+2 || packs != 1 {
		t.Errorf("%d files and %d packs", n, packs)
	}
	holds(t, s, refs)
	want := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, StoreConfig{Dir: dir})
	holds(t, s, refs)
	if st := s.Stats(); st.Blobs != want.Blobs || st.Bytes != want.Bytes || s.used != want.Bytes {
		t.Errorf("%+v, %d taken, want %+v", st, s.used, want)
	}
	if n := len(files(t, dir, tempDir)); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// A blob of a pack that is damaged costs that blob alone. It can be put again, and the next sweep writes the pack anew
// without it.
func TestPackDamaged(t *testing.T) {
	dir := t.TempDir()
	s, refs := packed(t, dir, 20, 1000)
	blobtest.Damage(t, dir, refs[3].Hash.String())
	report, err := s.Scrub(blobtest.Context(t), 0)
	if err != nil || len(report.Lost) != 1 || report.Lost[0] != refs[3] {
		t.Fatalf("%+v, %v", report, err)
	}
	if n := len(files(t, dir, quarantineDir)); n != 1 {
		t.Errorf("%d are in quarantine", n)
	}
	s.loose = looseFirst
	if _, err := s.Put(blobtest.Context(t), refs[3].Hash, bytes.NewReader(blobtest.Random(4, 1000))); err != nil {
		t.Fatal(err)
	}
	holds(t, s, refs)
	s.Close()
	s = openStore(t, StoreConfig{Dir: dir}) // both are there by now: the file counts
	holds(t, s, refs)
	if s.used != 21_000 {
		t.Errorf("%d bytes are taken", s.used)
	}
	s.mu.Lock()
	for p := range s.known {
		p.damaged = true
	}
	s.mu.Unlock()
	if freed, err := s.Sweep(blobtest.Context(t), func(Hash) bool { return true }, 0); freed != 1000 || err != nil {
		t.Errorf("%d bytes are free, %v", freed, err)
	}
	holds(t, s, refs)
	if s.used != 20_000 || len(files(t, dir, packDir)) != 1 {
		t.Errorf("%d bytes are taken, by %d packs", s.used, len(files(t, dir, packDir)))
	}
	s.Close()
	holds(t, openStore(t, StoreConfig{Dir: dir}), refs)
}

// A pack whose table is not what its name says is not believed, whatever is wrong with it, and is moved aside.
func TestPackTable(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"a hash":    func(b []byte) []byte { b[len(b)-footSize-1-rowSize] ^= 1; return b },
		"a size":    func(b []byte) []byte { b[len(b)-footSize-1] ^= 1; return b },
		"the count": func(b []byte) []byte { b[len(b)-1] = 0xff; b[len(b)-4] = 0xff; return b },
		"the salt":  func(b []byte) []byte { b[len(b)-5] ^= 1; return b },
		"cut off":   func(b []byte) []byte { return b[:len(b)-1] },
		"cut short": func(b []byte) []byte { return b[:footSize-1] },
		"no end":    func(b []byte) []byte { clear(b[len(b)-footSize-2*rowSize:]); return b },
		"no bytes":  func(b []byte) []byte { clear(b); return b },
		"empty":     func([]byte) []byte { return nil },
		"a blob":    func(b []byte) []byte { return append(b[:len(packMagic)], b[len(packMagic)+1:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, refs := packed(t, dir, 5, 100)
			s.Close()
			file := files(t, dir, packDir)[0]
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, damage(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			told := 0
			s = openStore(t, StoreConfig{Dir: dir, Corrupt: func(_ Hash, err error) {
				if errors.Is(err, ErrCorrupt) {
					told++
				}
			}})
			if m := s.Missing(refs); len(m) != 5 || told != 1 || s.used != 0 {
				t.Errorf("%d are missing, told %d times, %d bytes are taken", len(m), told, s.used)
			}
			if n := len(files(t, dir, quarantineDir)); n != 1 || len(files(t, dir, packDir)) != 0 {
				t.Errorf("%d are in quarantine", n)
			}
			s.loose = 0
			fill(t, s, 5, 100)
			holds(t, s, refs)
		})
	}
}

// Somebody removes a pack: what was in it is lost, and can be put again.
func TestPackRemoved(t *testing.T) {
	dir := t.TempDir()
	s, refs := packed(t, dir, 20, 100)
	s.Close()
	s = openStore(t, StoreConfig{Dir: dir})
	s.loose = 0
	if err := os.RemoveAll(filepath.Join(dir, packDir)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := s.Open(refs[0].Hash); !errors.Is(err, ErrMissing) {
			t.Errorf("%v", err)
		}
	}
	if report, err := s.Scrub(blobtest.Context(t), 0); len(report.Lost) != 19 || err != nil {
		t.Errorf("%+v, %v", report, err)
	}
	fill(t, s, 20, 100)
	if _, err := s.Sweep(blobtest.Context(t), func(Hash) bool { return true }, 0); err != nil || s.used != 2000 {
		t.Errorf("%d bytes are taken, %v", s.used, err)
	}
	holds(t, s, refs)
}

// A pack is removed with its last blob, and is written anew when a fourth of it is of no use; or earlier, when the
// quota is nearly used up. What is open stays readable.
func TestPackSwept(t *testing.T) {
	dir := t.TempDir()
	s, refs := packed(t, dir, 20, 1000)
	open, _, err := s.Open(refs[0].Hash)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	keepFrom := func(first int) func(Hash) bool {
		keep := map[Hash]bool{}
		for _, r := range refs[first:] {
			keep[r.Hash] = true
		}
		return func(h Hash) bool { return keep[h] }
	}
	for _, test := range []struct {
		from        int
		quota       int64
		freed, used int64
	}{
		{from: 4, used: 20_000},                // a fifth
		{from: 5, freed: 5000, used: 15_000},   // a fourth
		{from: 6, used: 15_000, quota: 20_001}, // a fifteenth, of three fourths of the quota
		{from: 7, freed: 2000, used: 13_000, quota: 19_000},
		{from: 20, freed: 13_000},
	} {
		s.config.Quota = test.quota
		freed, err := s.Sweep(blobtest.Context(t), keepFrom(test.from), 0)
		if freed != test.freed || err != nil || s.used != test.used {
			t.Errorf("from %d: %d bytes are free, %d taken, %v", test.from, freed, s.used, err)
		}
		if len(s.Missing(refs[:test.from])) != test.from {
			t.Errorf("from %d: what was swept is there", test.from)
		}
		holds(t, s, refs[test.from:])
	}
	if n := len(files(t, dir, packDir)); n != 0 {
		t.Errorf("%d packs are left", n)
	}
	b := make([]byte, 1000)
	if _, err := open.ReadAt(b, 0); err != nil || Sum(b) != refs[0].Hash {
		t.Errorf("what was open: %v", err)
	}
	if st := s.Stats(); st.Swept != 20 || st.SweptBytes != 20_000 || st.Blobs != 0 {
		t.Errorf("%+v", st)
	}
}

// The disk refuses while a pack is written anew: nothing is lost, and the next sweep does it.
func TestPackSwept_DiskRefuses(t *testing.T) {
	for _, step := range []string{"create", "write", "table", "sync", "rename", "sync folder", "sweep"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			s, refs := packed(t, dir, 8, 1000)
			s.step = func(at string) error {
				if at == step {
					return os.ErrPermission
				}
				return nil
			}
			keep := func(h Hash) bool { return h != refs[0].Hash && h != refs[1].Hash }
			if freed, err := s.Sweep(blobtest.Context(t), keep, 0); !errors.Is(err, os.ErrPermission) || freed != 0 {
				t.Errorf("%d bytes are free, %v", freed, err)
			}
			holds(t, s, refs[2:])
			s.step = nil
			if _, err := s.Sweep(blobtest.Context(t), keep, 0); err != nil {
				t.Error(err)
			}
			holds(t, s, refs[2:])
			if n := len(files(t, dir, tempDir)); n != 0 || s.used != 6000 || len(files(t, dir, packDir)) != 1 {
				t.Errorf("%d files are left, %d bytes taken", n, s.used)
			}
			s.Close()
			holds(t, openStore(t, StoreConfig{Dir: dir}), refs[2:])
		})
	}
}

// More packs are read than stay open, by many at once, while they are written anew.
func TestPacksBesideReaders(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	s.loose = 0
	var refs []Ref
	for i := range 3 * mostOpen {
		for j := range 4 {
			h, err := s.AddBytes(Hash{}, blobtest.Random(uint64(4*i+j), 500))
			if err != nil {
				t.Fatal(err)
			}
			refs = append(refs, Ref{Hash: h, Size: 500})
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	keep := map[Hash]bool{}
	for i, r := range refs {
		keep[r.Hash] = i%4 > 0
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 5 {
				for _, r := range refs {
					b, err := read(s, r.Hash)
					if keep[r.Hash] && err != nil || err == nil && Sum(b) != r.Hash {
						t.Errorf("%d bytes, %v", len(b), err)
					}
				}
			}
		})
	}
	for range 5 {
		if _, err := s.Sweep(blobtest.Context(t), func(h Hash) bool { return keep[h] }, 0); err != nil {
			t.Error(err)
		}
	}
	readers.Wait()
	if len(s.warm) > mostOpen || len(s.Lost()) > 0 {
		t.Errorf("%d are open, %d lost", len(s.warm), len(s.Lost()))
	}
}
