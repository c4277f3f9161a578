package blob

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
)

// without returns what keeps all blobs but some.
func without(refs []Ref) func(Hash) bool {
	drop := map[Hash]bool{}
	for _, r := range refs {
		drop[r.Hash] = true
	}
	return func(h Hash) bool { return !drop[h] }
}

// A blob that cannot be read for a moment is not lost when its pack is written anew: the pack stays until it can be.
// The blob is wanted meanwhile.
func TestRepack_Unreadable(t *testing.T) {
	dir := t.TempDir()
	s, refs := packed(t, dir, 8, 1000)
	reads := 0
	s.step = func(step string) error {
		if step == "read" {
			if reads++; reads == 3 {
				return syscall.EIO
			}
		}
		return nil
	}
	freed, err := s.Sweep(blobtest.Context(t), without(refs[:2]), 0)
	if freed != 0 || !errors.Is(err, syscall.EIO) || len(s.Lost()) != 1 || len(s.quarantined()) > 0 {
		t.Errorf("%d bytes are free, %v; %d are lost", freed, err, len(s.Lost()))
	}
	freed, err = s.Sweep(blobtest.Context(t), without(nil), 0)
	if freed != 2000 || err != nil {
		t.Errorf("%d bytes are free, %v", freed, err)
	}
	holds(t, s, refs[2:])
}

// What is found to be damaged when a pack is written anew is not copied, and is lost. The bytes that are verified are
// those that are copied: they change after the blob was opened.
func TestRepack_Damaged(t *testing.T) {
	dir := t.TempDir()
	s, refs := packed(t, dir, 8, 1000)
	holds(t, s, refs)
	s.step = func(step string) error {
		if step == "read" {
			flip(t, s, refs[7:])
			s.step = nil
		}
		return nil
	}
	if freed, err := s.Sweep(blobtest.Context(t), without(refs[:2]), 0); freed != 3000 || err != nil {
		t.Errorf("%d bytes are free, %v", freed, err)
	}
	if lost := s.Lost(); len(lost) != 1 || lost[0] != refs[7] || len(s.quarantined()) != 1 {
		t.Errorf("%v are lost", lost)
	}
	holds(t, s, refs[2:7])
	s.Close()
	s = openStore(t, StoreConfig{Dir: dir})
	holds(t, s, refs[2:7])
	if s.Has(refs[7].Hash) {
		t.Error("the damaged one was copied")
	}
}

// All of a pack is damaged: it goes, and no empty one is written.
func TestRepack_NothingLeft(t *testing.T) {
	dir := t.TempDir()
	s, refs := packed(t, dir, 4, 1000)
	flip(t, s, refs)
	s.step = func(step string) error {
		if step == "table" {
			t.Error("an empty pack is written")
		}
		return nil
	}
	if freed, err := s.Sweep(blobtest.Context(t), without(refs[:1]), 0); freed != 4000 || err != nil || s.used != 0 {
		t.Errorf("%d bytes are free, %d taken, %v", freed, s.used, err)
	}
	if len(files(t, dir, packDir)) > 0 || len(files(t, dir, tempDir)) > 0 || len(s.known) > 0 {
		t.Errorf("a pack is left")
	}
}

// While a pack is written anew, Durable does not take what is in other packs for lost: it never sees the new name
// before that lasts.
func TestRepack_BesideDurable(t *testing.T) {
	dir := t.TempDir()
	s, refs := packed(t, dir, 8, 1000)
	named, swept := make(chan struct{}), make(chan error, 1)
	folders, within := 0, true
	s.mu.Lock()
	s.dirty[blobDir] = struct{}{} // something for Durable to do
	s.mu.Unlock()
	s.step = func(step string) error {
		if step != "sync folder" {
			return nil
		}
		s.mu.Lock()
		folders++
		n, early := folders, within
		s.mu.Unlock()
		if n == 2 { // the sweep's
			if early {
				t.Error("a name came while Durable had the folders synced")
			}
			close(named)
		}
		if n > 1 {
			return nil
		}
		go func() {
			_, err := s.Sweep(blobtest.Context(t), without(refs[:2]), 0)
			swept <- err
		}()
		select { // the sweep has to wait for Durable
		case <-named:
		case <-time.After(100 * time.Millisecond):
		}
		s.mu.Lock()
		within = false
		s.mu.Unlock()
		return nil
	}
	if err := s.Durable(refs[7].Hash); err != nil {
		t.Errorf("what was durable: %v", err)
	}
	if err := <-swept; err != nil {
		t.Error(err)
	}
	if len(s.dirty) > 0 {
		t.Errorf("not synced: %v", s.dirty)
	}
	holds(t, s, refs[2:])
}

// Where there was no room for something, the next sweep gives back all that is of no use, though the quota is far.
func TestRepack_Cramped(t *testing.T) {
	for name, quota := range map[string]int64{"quota": 100_000, "disk": -1} {
		t.Run(name, func(t *testing.T) {
			s, refs := packed(t, t.TempDir(), 20, 1000)
			s.config.Quota = quota
			if quota < 0 {
				s.config.Reserve = 1 << 20
				s.free = func() (space, error) { return space{bytes: 100 << 20, files: -1}, nil }
			}
			for range 2 {
				freed, err := s.Sweep(blobtest.Context(t), without(refs[:4]), 0)
				if freed != 0 || err != nil {
					t.Errorf("with room: %d bytes are free, %v", freed, err)
				}
			}
			if err := s.Room(99 << 20); quota < 0 && err != nil {
				t.Error(err)
			}
			if err := s.Room(100 << 20); !errors.Is(err, ErrNoRoom) {
				t.Errorf("%v", err)
			}
			freed, err := s.Sweep(blobtest.Context(t), without(refs[:4]), 0)
			if freed != 4000 || err != nil || s.used != 16_000 {
				t.Errorf("without room: %d bytes are free, %v", freed, err)
			}
			holds(t, s, refs[4:])
			freed, err = s.Sweep(blobtest.Context(t), without(refs[:5]), 0)
			if freed != 0 || err != nil {
				t.Errorf("with room again: %d bytes are free, %v", freed, err)
			}
		})
	}
}

// On a disk that has no room for a pack more, little waste is enough for a pack to be written anew, and what is quite
// empty goes first, also when nothing can be written.
func TestRepack_DiskFull(t *testing.T) {
	const reserve = 1 << 20
	dir := t.TempDir()
	s, refs := packed(t, dir, 20, 1000)
	var others []Ref
	for i := range 8 {
		h, err := s.AddBytes(Hash{}, blobtest.Random(uint64(i)+100, 100))
		if err != nil || s.Sync() != nil {
			t.Fatal(err)
		}
		others = append(others, Ref{Hash: h, Size: 100})
	}
	s.config.Reserve = reserve
	free := int64(reserve + mostUnsynced + blockSize)
	s.free = func() (space, error) { return space{bytes: free, files: -1}, nil }
	if freed, err := s.Sweep(blobtest.Context(t), without(refs[:1]), 0); freed != 0 || err != nil {
		t.Errorf("with room: %d bytes are free, %v", freed, err)
	}
	free--
	s.step = func(step string) error {
		if step == "write" && len(files(t, dir, packDir)) > 1 {
			return syscall.ENOSPC
		}
		return nil
	}
	if freed, err := s.Sweep(blobtest.Context(t), without(others), 0); freed != 1800 || err != nil {
		t.Errorf("without room: %d bytes are free, %v", freed, err)
	}
	holds(t, s, refs[1:])
}

// A sweep whose time is over before all packs were written anew says so.
func TestRepack_Ends(t *testing.T) {
	s, _ := packed(t, t.TempDir(), 8, 1000)
	ctx, end := context.WithCancel(t.Context())
	asked := 0
	none := func(Hash) bool {
		if asked++; asked == 8 {
			end()
		}
		return false
	}
	if freed, err := s.Sweep(ctx, none, 0); freed != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes are free, %v", freed, err)
	}
}

// Small packs that are many become one, with all that is of use in them; few stay as they are, and so does a large one.
func TestRepack_Merged(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	s.loose = 0
	var refs []Ref
	add := func(packs, blobs, size int) {
		t.Helper()
		for range packs {
			for range blobs {
				h, err := s.AddBytes(Hash{}, blobtest.Random(uint64(len(refs)), size))
				if err != nil {
					t.Fatal(err)
				}
				refs = append(refs, Ref{Hash: h, Size: int64(size)})
			}
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	sweep := func(packs int) {
		t.Helper()
		if freed, err := s.Sweep(blobtest.Context(t), without(nil), time.Hour); freed != 0 || err != nil {
			t.Errorf("%d bytes are free, %v", freed, err)
		}
		if n := len(files(t, dir, packDir)); n != packs || len(s.known) != packs {
			t.Errorf("%d packs, and %d known, not %d", n, len(s.known), packs)
		}
	}
	add(1, 20, 60_000)
	add(mostSmalls, 3, 100)
	sweep(1 + mostSmalls)
	add(1, 3, 100)
	sweep(2)
	sweep(2)
	holds(t, s, refs)
	used := s.used
	s.Close()
	s = openStore(t, StoreConfig{Dir: dir})
	holds(t, s, refs)
	if s.used != used || used != 20*60_000+3*100*(mostSmalls+1) {
		t.Errorf("%d bytes are taken, and were %d", s.used, used)
	}
}

// A small pack that cannot be read does not keep the others from becoming one, and the sweep says so.
func TestRepack_MergedBesideUnreadable(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	s.loose = 0
	var refs []Ref
	for i := range mostSmalls + 1 {
		h, err := s.AddBytes(Hash{}, blobtest.Random(uint64(i), 100+i))
		if err = errors.Join(err, s.Sync()); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, Ref{Hash: h, Size: int64(100 + i)})
	}
	fails := 0
	for n := mostSmalls + 1; n > 1; n /= 2 { // as often as the smallest one is the first of those that are merged
		fails++
	}
	s.step = func(step string) error {
		if step == "read" && fails > 0 {
			fails--
			return syscall.EIO
		}
		return nil
	}
	if _, err := s.Sweep(blobtest.Context(t), without(nil), 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("nobody is told: %v", err)
	}
	if n := len(files(t, dir, packDir)); n > 5 || fails > 0 {
		t.Errorf("%d small packs are left; %d reads would fail still", n, fails)
	}
	s.step = nil
	holds(t, s, refs[1:]) // the smallest is fetched from another node, or read again
}

// A pack that cannot be read does not keep others, with which it would be written anew, from that.
func TestRepack_UnreadableAmongOthers(t *testing.T) {
	dir := t.TempDir()
	s, refs := packed(t, dir, 4, 1000)
	for i := range 4 {
		h, err := s.AddBytes(Hash{}, blobtest.Random(uint64(i)+100, 500))
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, Ref{Hash: h, Size: 500})
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	reads := 0
	s.step = func(step string) error {
		if step == "read" { // of the smaller pack, which comes first: with the other, and then alone
			if reads++; reads <= 2 {
				return syscall.EIO
			}
		}
		return nil
	}
	freed, err := s.Sweep(blobtest.Context(t), without([]Ref{refs[0], refs[7]}), 0)
	if freed != 1000 || !errors.Is(err, syscall.EIO) {
		t.Errorf("%d bytes are free, %v", freed, err)
	}
	s.step = nil
	if freed, err = s.Sweep(blobtest.Context(t), without(nil), 0); freed != 500 || err != nil {
		t.Errorf("%d bytes are free, %v", freed, err)
	}
	holds(t, s, refs[1:7])
}
