package blob

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
)

// Many blobs become durable by syncing the disk as a whole, where that can be done: once for their bytes, and once for
// their names. Where it cannot, fails, or would write too much of others, each is synced by itself.
func TestSyncTogether(t *testing.T) {
	for _, test := range []struct {
		name    string
		waiting int64
		fails   string // a step
		apart   bool   // each is synced by itself
		lost    bool
	}{
		{name: "all at once"},
		{name: "the disk is busy", waiting: mostWaiting + 1, apart: true},
		{name: "it fails", fails: "sync disk", apart: true},
		{name: "names are refused", fails: "rename", lost: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, StoreConfig{Dir: dir})
			s.loose = 1 << 20 // no packs
			whole := s.device != nil
			s.waiting = func() int64 { return test.waiting }
			var mu sync.Mutex
			steps := map[string]int{}
			s.step = func(step string) error {
				mu.Lock()
				defer mu.Unlock()
				steps[step]++
				if step == test.fails {
					return errors.New("it is refused")
				}
				return nil
			}
			const count = 2 * groupFrom
			var refs []Ref
			for i := range count {
				h, err := s.AddBytes(Hash{}, blobtest.Random(uint64(i), 100))
				if err != nil {
					t.Fatal(err)
				}
				refs = append(refs, Ref{Hash: h, Size: 100})
			}
			if err := s.Sync(); (err != nil) != test.lost {
				t.Fatal(err)
			}
			apart := count
			if whole && !test.apart {
				apart = 0
			}
			if steps["sync"] != apart || steps["rename"] != count {
				t.Errorf("%v, as a whole: %v", steps, whole)
			}
			if n := steps["sync disk"]; whole && !test.apart && !test.lost && (n != 2 || steps["sync folder"] > 0) {
				t.Errorf("%v", steps)
			}
			s.step = nil
			if test.lost {
				if m := s.Missing(refs); len(m) != count || s.used != 0 {
					t.Errorf("%d are missing, %d bytes are taken", len(m), s.used)
				}
				return
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			holds(t, openStore(t, StoreConfig{Dir: dir}), refs)
		})
	}
}

// A blob that is lost while the disk is synced, and comes again, is synced by itself: its file is another one.
func TestSyncTogether_Replaced(t *testing.T) {
	s := openStore(t, StoreConfig{Dir: t.TempDir()})
	s.loose = 1 << 20 // no packs
	var hashes []Hash
	add := func(i int) Hash {
		h, err := s.AddBytes(Hash{}, blobtest.Random(uint64(i), 100))
		if err != nil {
			t.Error(err)
		}
		return h
	}
	for i := range groupFrom {
		hashes = append(hashes, add(i))
	}
	want := groupFrom
	if s.device != nil {
		want = 1
	}
	s.waiting = func() int64 { return 0 }
	var synced atomic.Int64
	replaced := false
	s.step = func(step string) error {
		switch {
		case step == "sync":
			synced.Add(1)
		case step == "sync disk" && !replaced:
			replaced = true
			s.lose(hashes[0], s.index[hashes[0]], ErrCorrupt)
			add(0)
		}
		return nil
	}
	if err := s.Durable(hashes...); err != nil {
		t.Fatal(err)
	}
	if n := synced.Load(); n != int64(want) {
		t.Errorf("%d files were synced by themselves, want %d", n, want)
	}
}
