package blob

import (
	"errors"
	"sync"
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
			whole := s.disk != nil
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
