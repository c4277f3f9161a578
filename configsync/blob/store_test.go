package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
)

func TestPut(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	ctx := blobtest.Context(t)
	for _, b := range [][]byte{{}, []byte("a"), blobtest.Random(1, 300_000), blobtest.Random(2, MaxSize)} {
		want := Sum(b)
		for range 2 { // the second time it is there
			if h, err := s.Put(ctx, want, bytes.NewReader(b)); h != want || err != nil {
				t.Fatalf("%d bytes: %v, %v", len(b), h, err)
			}
		}
		few := b[:min(len(b), 10)]
		if h, err := s.Put(ctx, Hash{}, iotest.OneByteReader(bytes.NewReader(few))); h != Sum(few) || err != nil {
			t.Fatalf("any hash: %v, %v", h, err)
		}
		if got, err := read(s, want); !bytes.Equal(got, b) || err != nil {
			t.Errorf("%d bytes: %d others are read, %v", len(b), len(got), err)
		}
		name := want.String()
		got, err := os.ReadFile(filepath.Join(dir, "sha256", name[:2], name[2:]))
		if !bytes.Equal(got, b) || err != nil {
			t.Errorf("on disk: %d bytes, %v", len(got), err)
		}
	}
}

// A blob that is in memory is hashed before anything gets to the disk.
func TestAddBytes(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir, Quota: 1000})
	s.step = func(step string) error {
		if step == "create" {
			t.Error("a file is made")
		}
		return nil
	}
	a, b := blobtest.Random(1, 600), blobtest.Random(2, 600)
	if _, err := s.AddBytes(Sum(b), a); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another hash: %v", err)
	}
	s.step = nil
	for _, want := range []Hash{{}, Sum(a), Sum(a)} {
		if h, err := s.AddBytes(want, a); h != Sum(a) || err != nil {
			t.Errorf("%v, %v", h, err)
		}
	}
	if _, err := s.AddBytes(Hash{}, b); !errors.Is(err, ErrNoRoom) {
		t.Errorf("beyond the quota: %v", err)
	}
	if _, err := s.AddBytes(Hash{}, make([]byte, MaxSize+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := s.Durable(Sum(a)); err != nil {
		t.Error(err)
	}
	if got, err := read(s, Sum(a)); !bytes.Equal(got, a) || err != nil {
		t.Errorf("%d bytes are read, %v", len(got), err)
	}
	if st := s.Stats(); st.Written != 1 || st.Bytes != 600 {
		t.Errorf("%+v", st)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Who opens a blob just when it gets its name finds it. It was taken for one whose file somebody has removed, and was
// moved aside.
func TestOpenWhileItIsNamed(t *testing.T) {
	s := openStore(t, StoreConfig{Dir: t.TempDir(), Corrupt: func(h Hash, err error) {
		t.Errorf("%v is taken for damaged: %v", h, err)
	}})
	want := blobtest.Random(3, 1000)
	h, err := s.Add(blobtest.Context(t), Hash{}, bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	s.step = func(at string) error {
		if at != "renamed" {
			return nil
		}
		go func() {
			defer close(done)
			if got, err := read(s, h); !bytes.Equal(got, want) || err != nil {
				t.Errorf("%d bytes are read, %v", len(got), err)
			}
		}()
		select { // the reader has to wait until the index says the new name; for that it is given some time
		case <-done:
		case <-time.After(50 * time.Millisecond):
		}
		return nil
	}
	if err := s.Durable(h); err != nil {
		t.Error(err)
	}
	<-done
}

func TestPutRefuses(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	refs := fill(t, s, 1, 900)
	ctx, broken := blobtest.Context(t), errors.New("broken")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		want Hash
		r    io.Reader
		err  error
		says string
	}{
		{"other bytes", ctx, Sum([]byte("abc")), strings.NewReader("abd"), ErrCorrupt, Sum([]byte("abc")).String()},
		{"fewer bytes", ctx, Sum([]byte("abc")), strings.NewReader("ab"), ErrCorrupt, "of 2 bytes"},
		{"too large", ctx, Hash{}, bytes.NewReader(make([]byte, MaxSize+1)), ErrTooLarge, "16777216"},
		{"a reader that fails", ctx, Hash{}, io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)),
			broken, "broken"},
		{"nobody waits", ended, Hash{}, strings.NewReader("abc"), context.Canceled, "canceled"},
	} {
		h, err := s.Put(test.ctx, test.want, test.r)
		if !h.IsZero() || !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, %v", test.name, h, err)
		}
	}
	holds(t, s, refs)
	if st := s.Stats(); st.Blobs != 1 || st.Bytes != 900 || s.used != 900 {
		t.Errorf("%+v, and %d bytes are taken", st, s.used)
	}
	if names, err := os.ReadDir(filepath.Join(dir, "tmp")); len(names) > 0 || err != nil {
		t.Errorf("left: %v, %v", names, err)
	}
}

func TestQuota(t *testing.T) {
	s := openStore(t, StoreConfig{Quota: 100_000})
	refs := fill(t, s, 2, 30_000)
	_, err := s.Put(blobtest.Context(t), Hash{}, bytes.NewReader(make([]byte, 50_000)))
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "over the quota of 100000") {
		t.Errorf("put: %v", err)
	}
	if err := s.Room(40_001); !errors.Is(err, ErrNoRoom) {
		t.Errorf("room: %v", err)
	}
	if err := s.Room(40_000); err != nil {
		t.Errorf("room: %v", err)
	}
	refs = append(refs, fill(t, s, 3, 30_000)...) // of which one is new
	holds(t, s, refs)
}

// A disk that is nearly full is left to others.
func TestReserve(t *testing.T) {
	s := openStore(t, StoreConfig{Dir: t.TempDir(), Reserve: 1 << 20})
	s.free = func() (space, error) { return space{bytes: 3 << 20, files: 100}, nil }
	if err := s.Room(2 << 20); err != nil {
		t.Errorf("what fits: %v", err)
	}
	if err := s.Room(2<<20 + 1); !errors.Is(err, ErrNoRoom) ||
		!strings.Contains(err.Error(), "2097153 bytes are needed, 3145728 are free") {
		t.Errorf("what does not: %v", err)
	}
	if err := s.roomFor(0, 101); !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "inodes") {
		t.Errorf("inodes: %v", err)
	}
	s.free = func() (space, error) { return space{bytes: 1<<20 - 1, files: -1}, nil }
	if _, err := s.Put(blobtest.Context(t), Hash{}, strings.NewReader("abc")); !errors.Is(err, ErrNoRoom) {
		t.Errorf("put: %v", err)
	}
	s.free = s.freeOnDisk
	if d, err := s.free(); err != nil || runtime.GOOS == "linux" && d.bytes <= 0 {
		t.Errorf("the disk: %+v, %v", d, err)
	}
}

func TestMissing(t *testing.T) {
	s := openStore(t, StoreConfig{})
	refs := fill(t, s, 3, 10)
	other := Ref{Hash: Sum([]byte("other")), Size: 5}
	longer := Ref{Hash: refs[0].Hash, Size: 11}
	got := s.Missing([]Ref{refs[0], other, refs[1], other, longer})
	if len(got) != 2 || got[0] != other || got[1] != longer {
		t.Errorf("%v", got)
	}
	if _, _, err := s.Open(other.Hash); !errors.Is(err, ErrMissing) {
		t.Errorf("open: %v", err)
	}
	if s.Has(other.Hash) || !s.Has(refs[2].Hash) {
		t.Error("Has says something else")
	}
}

// What one process has put the next one has. What is no blob is left alone.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	refs := fill(t, s, 20, 1000)
	if _, err := OpenStore(StoreConfig{Dir: dir}); !errors.Is(err, ErrInUse) ||
		!strings.Contains(err.Error(), dir) {
		t.Errorf("a second store on the folder: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Open(refs[0].Hash); !errors.Is(err, ErrClosed) {
		t.Errorf("open when closed: %v", err)
	}
	if _, err := s.Put(blobtest.Context(t), Hash{}, strings.NewReader("abc")); !errors.Is(err, ErrClosed) {
		t.Errorf("put when closed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	note := filepath.Join(dir, "sha256", refs[0].Hash.String()[:2], "README")
	if err := os.WriteFile(note, []byte("not a blob"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tmp", "7"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, StoreConfig{Dir: dir})
	holds(t, s, refs)
	if st := s.Stats(); st.Blobs != 20 || st.Bytes != 20_000 || st.Quota != 16<<30 {
		t.Errorf("%+v", st)
	}
	if _, err := os.Stat(note); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "tmp", "7")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was unfinished is there: %v", err)
	}
}

func TestTemporary(t *testing.T) {
	s := openStore(t, StoreConfig{})
	holds(t, s, fill(t, s, 3, 10))
	dir := s.config.Dir
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", dir, err)
	}
}
