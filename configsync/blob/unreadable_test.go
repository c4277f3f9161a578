package blob

import (
	"bytes"
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
)

// failing is a store that was opened again and whose disk fails at a step. It has three blobs, in files or in a pack.
func failing(t *testing.T, dir string, loose int, step string) (s *Store, refs []Ref, told *[]error) {
	t.Helper()
	s = openStore(t, StoreConfig{Dir: dir})
	s.loose = loose
	refs = fill(t, s, 3, 1000)
	s.Close()
	told = new([]error)
	s = openStore(t, StoreConfig{Dir: dir, Corrupt: func(_ Hash, err error) { *told = append(*told, err) }})
	s.step = func(at string) error {
		if at == step {
			return &fs.PathError{Op: at, Path: "blob", Err: syscall.EIO}
		}
		return nil
	}
	return s, refs, told
}

// eachUnreadable runs a test for blobs in files and in a pack, which cannot be opened, or be opened and not be read.
func eachUnreadable(t *testing.T, test func(t *testing.T, loose int, step string)) {
	for name, loose := range map[string]int{"in files": looseFirst, "in a pack": 0} {
		for _, step := range []string{"open", "read"} {
			t.Run(name+" "+step, func(t *testing.T) { test(t, loose, step) })
		}
	}
}

// A disk that fails to read says nothing of the bytes. They are neither called damaged nor missing, and are left where
// they are, whoever finds it: who opens, verifies or sweeps. They are wanted, and are not offered to others. When the
// disk is well again they are there.
func TestUnreadable(t *testing.T) {
	eachUnreadable(t, func(t *testing.T, loose int, step string) {
		dir := t.TempDir()
		s, refs, told := failing(t, dir, loose, step)
		before := len(files(t, dir))
		fails := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, syscall.EIO) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrMissing) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for range 2 {
			_, _, err := s.Open(refs[0].Hash)
			fails("open", err)
			fails("verify", s.Verify(refs[1].Hash))
		}
		report, err := s.Scrub(blobtest.Context(t), 0)
		fails("scrub", err)
		if len(report.Unreadable) != 3 || len(report.Lost) > 0 || report.Blobs != 3 {
			t.Errorf("%+v", report)
		}
		if freed, err := s.Sweep(blobtest.Context(t), without(nil), 0); freed != 0 || err != nil {
			t.Errorf("%d bytes are free, %v", freed, err)
		}
		if len(files(t, dir)) != before || len(s.quarantined()) > 0 || s.used != 3000 {
			t.Errorf("something was moved: %v", files(t, dir))
		}
		if len(*told) != 3 || s.Stats().Corrupt != 3 || len(s.Lost()) != 3 || len(s.Missing(refs)) != 3 ||
			s.Has(refs[0].Hash) {
			t.Errorf("told of %v, %v are wanted", *told, s.Lost())
		}
		fails("durable", s.Durable(refs[0].Hash))
		select {
		case <-s.Loss():
		default:
			t.Error("nobody was woken")
		}
		s.step = nil
		for _, r := range refs {
			if b, err := read(s, r.Hash); Sum(b) != r.Hash || err != nil {
				t.Errorf("when the disk is well: %v", err)
			}
		}
		holds(t, s, refs)
		if len(s.Lost()) > 0 {
			t.Errorf("%v are wanted", s.Lost())
		}
	})
}

// What the disk cannot read is put again: then it is there, and the old bytes give way.
func TestUnreadable_PutAgain(t *testing.T) {
	eachUnreadable(t, func(t *testing.T, loose int, step string) {
		dir := t.TempDir()
		s, refs, _ := failing(t, dir, loose, step)
		for _, r := range refs[:2] {
			s.Verify(r.Hash)
		}
		s.step = nil
		s.loose = loose
		s.Forget(refs[1].Hash) // so that it comes as any other blob
		for i, r := range refs[:2] {
			b := bytes.NewReader(blobtest.Random(uint64(i)+1, 1000))
			if _, err := s.Put(blobtest.Context(t), r.Hash, b); err != nil {
				t.Fatal(err)
			}
		}
		holds(t, s, refs)
		if len(s.Lost()) > 0 || len(files(t, dir, blobDir)) < 1 {
			t.Errorf("%v are wanted", s.Lost())
		}
		balanced(t, s, "put again")
		if _, err := s.Sweep(blobtest.Context(t), without(nil), 0); err != nil {
			t.Error(err)
		}
		balanced(t, s, "swept")
		s.Close()
		s = openStore(t, StoreConfig{Dir: dir})
		holds(t, s, refs)
		if s.used != 3000 || len(s.index) != 3 {
			t.Errorf("%d bytes are taken", s.used)
		}
	})
}

// Too many open files are no fault of the disk's: nothing is wanted again for that.
func TestUnreadable_Exhausted(t *testing.T) {
	s, refs, told := failing(t, t.TempDir(), 0, "")
	s.step = func(string) error { return syscall.EMFILE }
	if _, _, err := s.Open(refs[0].Hash); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("%v", err)
	}
	s.step = nil
	if len(*told) > 0 || len(s.Lost()) > 0 {
		t.Errorf("told of %v, %v are wanted", *told, s.Lost())
	}
	holds(t, s, refs)
}

// What the disk cannot read, and nobody needed for a while, comes again in a file of its own, however many come with
// it: the one that the disk cannot read would count at the next start, and the one in a pack would not.
func TestUnreadable_ForgottenAndPutAgain(t *testing.T) {
	eachUnreadable(t, func(t *testing.T, loose int, step string) {
		dir := t.TempDir()
		s, refs, _ := failing(t, dir, loose, step)
		s.Verify(refs[0].Hash)
		s.Forget(refs[0].Hash)
		s.step = nil
		s.loose = 0
		if _, err := s.Put(blobtest.Context(t), refs[0].Hash, bytes.NewReader(blobtest.Random(1, 1000))); err != nil {
			t.Fatal(err)
		}
		balanced(t, s, "put again")
		if s.index[refs[0].Hash].pack != nil {
			t.Error("it is in a pack")
		}
		holds(t, s, refs)
	})
}

// What is lost, and comes again, and cannot be made to last, is still wanted.
func TestLost_NotDurable(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	refs := fill(t, s, 1, 1000)
	blobtest.Damage(t, dir, refs[0].Hash.String())
	if err := s.Verify(refs[0].Hash); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	<-s.Loss()
	s.step = func(step string) error {
		if step == "sync" {
			return syscall.ENOSPC
		}
		return nil
	}
	b := blobtest.Random(1, 1000)
	if _, err := s.Put(blobtest.Context(t), refs[0].Hash, bytes.NewReader(b)); !errors.Is(err, ErrNoRoom) {
		t.Fatal(err)
	}
	if lost := s.Lost(); len(lost) != 1 || lost[0] != refs[0] {
		t.Errorf("%v are wanted", lost)
	}
	s.step = nil
	if _, err := s.Put(blobtest.Context(t), refs[0].Hash, bytes.NewReader(b)); err != nil || len(s.Lost()) > 0 {
		t.Errorf("%v, %v are wanted", err, s.Lost())
	}
	holds(t, s, refs)
}
