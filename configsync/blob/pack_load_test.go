package blob

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
)

// Many blobs of a pack are damaged, and are put again. The next process has them as they were put, though the pack
// still has its rows of them, whichever pack it reads first.
func TestPackDamaged_PutAgain(t *testing.T) {
	for name, synced := range map[string]bool{"later": true, "while the pack is written": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, StoreConfig{Dir: dir})
			s.loose = 0
			var refs []Ref
			for i := range 40 {
				b := blobtest.Random(uint64(i)+1, 1000)
				if _, err := s.AddBytes(Hash{}, b); err != nil {
					t.Fatal(err)
				}
				refs = append(refs, Ref{Hash: Sum(b), Size: 1000})
			}
			if synced {
				if err := s.Sync(); err != nil {
					t.Fatal(err)
				}
			}
			damaged := refs[:20]
			flip(t, s, damaged)
			for _, r := range damaged {
				if err := s.Verify(r.Hash); !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
			}
			fill(t, s, 20, 1000)
			holds(t, s, refs)
			s.Close()
			past := time.Unix(1, 0) // clocks differ: neither pack may count for its age alone
			for _, newer := range files(t, dir, packDir) {
				for _, file := range files(t, dir, packDir) {
					at := past
					if file == newer {
						at = past.Add(time.Hour)
					}
					if err := os.Chtimes(file, at, at); err != nil {
						t.Fatal(err)
					}
				}
				s = openStore(t, StoreConfig{Dir: dir})
				holds(t, s, refs)
				s.Close()
			}
		})
	}
}

// flip damages blobs that are in a pack, which may have no table yet.
func flip(t *testing.T, s *Store, refs []Ref) {
	t.Helper()
	for _, r := range refs {
		s.mu.Lock()
		e := s.index[r.Hash]
		name, at := e.pack.name, e.at
		s.mu.Unlock()
		f, err := os.OpenFile(filepath.Join(s.config.Dir, name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		_, err = f.ReadAt(b, at)
		b[0] ^= 1
		if _, e := f.WriteAt(b, at); errors.Join(err, e, f.Close()) != nil {
			t.Fatal(err, e)
		}
	}
}

// Of a blob that two packs have, the one of the later pack counts, and of two rows of one pack the last one.
func TestPackRows(t *testing.T) {
	dir := t.TempDir()
	good, bad := blobtest.Random(1, 100), blobtest.Random(2, 100)
	h := Sum(good)
	s := openStore(t, StoreConfig{Dir: dir})
	s.Close()
	write := func(blobs ...[]byte) string {
		f, err := os.Create(filepath.Join(dir, "new"))
		if err != nil {
			t.Fatal(err)
		}
		w, err := newPackWriter(f)
		for _, b := range blobs {
			err = errors.Join(err, w.write(b))
			w.add(h, 100)
		}
		hash, err2 := w.finish()
		name := filepath.Join(dir, packDir, hash.String())
		if err := errors.Join(err, err2, f.Close(), os.Rename(f.Name(), name)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	check := func(used int64) {
		t.Helper()
		s := openStore(t, StoreConfig{Dir: dir})
		defer s.Close()
		holds(t, s, []Ref{{h, 100}})
		dead, live := int64(0), 0
		for p := range s.known {
			dead += p.dead
			live += p.live
		}
		if s.used != used || dead != used-100 || live != 1 {
			t.Errorf("%d bytes are taken, %d dead, %d live", s.used, dead, live)
		}
	}
	name := write(bad, good)
	check(200)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		at := time.Now().Add(-time.Hour)
		if err := os.Chtimes(write(bad), at, at); err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			write(good)
		}
	}
	check(900)
}

// A pack that cannot be read when the store is opened is not taken for a damaged one: it stays where it is, and the
// next time it is read. Where the process has too many files open, the store is not opened.
func TestPackUnreadable(t *testing.T) {
	for _, test := range []struct {
		step  string
		errno syscall.Errno
		fails bool
	}{
		{"open pack", syscall.EACCES, false},
		{"open pack", syscall.EIO, false},
		{"open pack", syscall.EMFILE, true},
		{"read pack", syscall.EIO, false},
	} {
		t.Run(test.step+" "+test.errno.Error(), func(t *testing.T) {
			from := t.TempDir()
			other, refs := packed(t, from, 5, 100)
			other.Close()
			dir, told := t.TempDir(), []error(nil)
			s := openStore(t, StoreConfig{Dir: dir, Corrupt: func(_ Hash, err error) { told = append(told, err) }})
			if err := os.CopyFS(filepath.Join(dir, packDir), os.DirFS(filepath.Join(from, packDir))); err != nil {
				t.Fatal(err)
			}
			s.step = func(step string) error {
				if step == test.step {
					return &fs.PathError{Op: step, Path: "pack", Err: test.errno}
				}
				return nil
			}
			err := s.loadPacks()
			if errors.Is(err, test.errno) != test.fails || err != nil && !test.fails {
				t.Errorf("%v", err)
			}
			if !test.fails && (len(told) != 1 || !errors.Is(told[0], test.errno) || errors.Is(told[0], ErrCorrupt)) {
				t.Errorf("told: %v", told)
			}
			if len(files(t, dir, packDir)) != 1 || len(s.quarantined()) > 0 || s.used != 0 {
				t.Errorf("it was moved, or counts: %d bytes are taken", s.used)
			}
			s.step = nil
			if err := s.loadPacks(); err != nil {
				t.Error(err)
			}
			holds(t, s, refs)
		})
	}
}

// A pack that could not be read at the start is read by the next sweep or scrub, once the disk can. It is told of once.
func TestPackUnreadable_Later(t *testing.T) {
	for name, look := range map[string]func(s *Store) error{
		"sweep": func(s *Store) error {
			_, err := s.Sweep(blobtest.Context(t), func(Hash) bool { return false }, time.Hour)
			return err
		},
		"scrub": func(s *Store) error {
			_, err := s.Scrub(blobtest.Context(t), 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			from := t.TempDir()
			other, refs := packed(t, from, 5, 100)
			other.Close()
			dir, told := t.TempDir(), 0
			s := openStore(t, StoreConfig{Dir: dir, Corrupt: func(Hash, error) { told++ }})
			if err := os.CopyFS(filepath.Join(dir, packDir), os.DirFS(filepath.Join(from, packDir))); err != nil {
				t.Fatal(err)
			}
			bad := true
			s.step = func(step string) error {
				if step == "read pack" && bad {
					return syscall.EIO
				}
				return nil
			}
			if err := s.loadPacks(); err != nil {
				t.Fatal(err)
			}
			if err := look(s); err != nil || told != 1 || s.Has(refs[0].Hash) {
				t.Errorf("%v, told %d times", err, told)
			}
			bad = false
			if err := look(s); err != nil || told != 1 {
				t.Errorf("%v, told %d times", err, told)
			}
			holds(t, s, refs)
			if s.used != 500 || len(s.known) != 1 || len(s.unread) != 0 {
				t.Errorf("%d bytes are taken, of %d packs", s.used, len(s.known))
			}
			if err := look(s); err != nil || s.used != 500 {
				t.Errorf("%v, %d bytes are taken", err, s.used)
			}
		})
	}
}

// A table that cannot be read is not a damaged one.
func TestReadTable_Unreadable(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pack")
	if err := os.WriteFile(name, bytes.Repeat([]byte{0}, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := readTable(f, Hash{}); err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

// The folders are there before anything is put, so that no Sync has to make the name of one last.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		s := openStore(t, StoreConfig{Dir: dir})
		for _, name := range []string{blobDir, packDir, tempDir} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.IsDir() {
				t.Errorf("%s: %v", name, err)
			}
		}
		s.Close()
	}
}

// A process that ended between a rename and the sync of its folder left a name that nobody has made to last. The next
// one finds the blob, and says that it is durable once it has synced the folder.
func TestLoad_Names(t *testing.T) {
	for name, loose := range map[string]int{"in files": looseFirst, "in a pack": 0} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, StoreConfig{Dir: dir})
			s.loose = loose
			refs := fill(t, s, 2, 1000)
			s.Close()
			s = openStore(t, StoreConfig{Dir: dir})
			s.step = func(step string) error {
				if step == "sync folder" {
					return syscall.EIO
				}
				return nil
			}
			if _, err := s.AddBytes(refs[0].Hash, blobtest.Random(1, 1000)); err != nil {
				t.Fatal(err)
			}
			if err := s.Durable(refs[0].Hash); !errors.Is(err, syscall.EIO) {
				t.Errorf("not synced, and said to be durable: %v", err)
			}
			s.step = nil
			if err := s.Durable(refs[0].Hash, refs[1].Hash); err != nil {
				t.Error(err)
			}
		})
	}
}

// The table of a pack is read at a start alone. A scrub finds that it is damaged, or cannot be read, while the store
// knows what is in the pack, and the next sweep writes the pack anew.
func TestScrub_Table(t *testing.T) {
	for _, fault := range []string{"damaged", "read pack", "open pack"} {
		t.Run(fault, func(t *testing.T) {
			dir := t.TempDir()
			s, refs := packed(t, dir, 5, 1000)
			old := files(t, dir, packDir)
			var told []error
			s.config.Corrupt = func(_ Hash, err error) { told = append(told, err) }
			if fault == "damaged" {
				b, err := os.ReadFile(old[0])
				if err != nil {
					t.Fatal(err)
				}
				b[len(b)-footSize-1] ^= 1
				if err := os.WriteFile(old[0], b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s.step = func(step string) error {
				if step == fault {
					return syscall.EIO
				}
				return nil
			}
			for range 2 {
				if report, err := s.Scrub(blobtest.Context(t), 0); err != nil || report.Blobs != 5 || len(report.Lost) > 0 {
					t.Errorf("%+v, %v", report, err)
				}
			}
			if len(told) != 1 || s.Stats().Corrupt != 1 {
				t.Errorf("told of %v", told)
			}
			if _, err := s.Sweep(blobtest.Context(t), without(nil), 0); err != nil {
				t.Error(err)
			}
			if now := files(t, dir, packDir); len(now) != 1 || now[0] == old[0] {
				t.Errorf("%v, and now %v", old, now)
			}
			balanced(t, s, "swept")
			s.Close()
			s = openStore(t, StoreConfig{Dir: dir})
			holds(t, s, refs)
			if s.Stats().Corrupt > 0 {
				t.Error("it is damaged still")
			}
		})
	}
}
