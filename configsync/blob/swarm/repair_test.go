package swarm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
)

// Damage that comes while the store is open is found by Scrub, and Repair brings the blob back. So it does
// with a file that somebody has removed, and with what a peer was sent wrong.
func TestScrubAndRepair(t *testing.T) {
	var sw swarm
	other := openStore(t, blob.StoreConfig{})
	refs := fill(t, other, 30, 1000)
	sw.serve(t, "n2", other, HandlerConfig{})
	dir := t.TempDir()
	s := openStore(t, blob.StoreConfig{Dir: dir})
	fill(t, s, 30, 1000)
	holds(t, s, refs)
	f := sw.fetcher(t, "n1", s, FetcherConfig{Patience: blobtest.Patience})
	ctx, stop := context.WithCancel(blobtest.Context(t))
	ended := make(chan struct{})
	blobtest.Damage(t, dir, refs[3].Hash.String())
	if err := os.Remove(blobtest.Damage(t, dir, refs[4].Hash.String())); err != nil {
		t.Fatal(err)
	}
	report, err := s.Scrub(ctx, 0)
	if err != nil || len(report.Lost) != 2 || report.Blobs != 30 || report.Bytes != 30_000 {
		t.Errorf("%+v, %v", report, err)
	}
	go func() { // not before, for it may find and mend some of that itself
		defer close(ended)
		f.Repair(ctx, func(err error) { t.Errorf("repair: %v", err) })
	}()
	await(t, "the repair", func() bool { return len(s.Missing(refs)) == 0 })
	holds(t, s, refs)

	h := sw.serve(t, "n1", s, HandlerConfig{})
	blobtest.Damage(t, dir, refs[5].Hash.String())
	third := openStore(t, blob.StoreConfig{})
	sw.set("n2", "")
	from1 := sw.fetcher(t, "n3", third, FetcherConfig{Patience: 200 * time.Millisecond})
	await(t, "the sender to find out", func() bool { // whose machine may be slow at first
		if err := from1.Fetch(ctx, refs[5:6], nil); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("from who has wrong bytes: %v", err)
		}
		return s.Stats().Corrupt == 3
	})
	if h.Stats().Sent == 0 {
		t.Error("nothing was sent")
	}
	stop()
	<-ended
}

// What the disk cannot read is brought back, too: the new file takes the place of the old one.
func TestRepair_Unreadable(t *testing.T) {
	var sw swarm
	other := openStore(t, blob.StoreConfig{})
	refs := fill(t, other, 3, 1000)
	sw.serve(t, "n2", other, HandlerConfig{})
	dir := t.TempDir()
	s := openStore(t, blob.StoreConfig{Dir: dir})
	fill(t, s, 3, 1000)
	name := blobtest.Damage(t, dir, refs[1].Hash.String())
	if err := errors.Join(os.Remove(name), os.Symlink(filepath.Base(name), name)); err != nil { // a loop of links
		t.Fatal(err)
	}
	if _, _, err := s.Open(refs[1].Hash); err == nil || errors.Is(err, blob.ErrMissing) {
		t.Errorf("%v", err)
	}
	f := sw.fetcher(t, "n1", s, FetcherConfig{Patience: blobtest.Patience})
	ctx, stop := context.WithCancel(blobtest.Context(t))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Repair(ctx, func(err error) { t.Errorf("repair: %v", err) })
	}()
	await(t, "the repair", func() bool { return len(s.Lost()) == 0 })
	stop()
	<-ended
	holds(t, s, refs)
	s.Close()
	holds(t, openStore(t, blob.StoreConfig{Dir: dir}), refs)
}

// The store is full before all of a release has come: Fetch ends at once with what to do, blames nobody, and
// keeps what has come.
func TestFetchIntoFullStore(t *testing.T) {
	var sw swarm
	seed := openStore(t, blob.StoreConfig{})
	refs := fill(t, seed, 50, 10_000)
	sw.serve(t, "seed", seed, HandlerConfig{})
	store := openStore(t, blob.StoreConfig{Dir: t.TempDir(), Quota: 500_000})
	f := sw.fetcher(t, "n1", store, FetcherConfig{})
	present := f.config.Peers
	f.config.Peers = func() []string { // asked for when it is known that there is room
		if store.Stats().Blobs == 0 {
			if _, err := store.Add(t.Context(), blob.Hash{}, bytes.NewReader(make([]byte, 300_000))); err != nil {
				t.Error(err)
			}
		}
		return present()
	}
	err := f.Fetch(blobtest.Context(t), refs, nil)
	if !errors.Is(err, blob.ErrNoRoom) || errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if p := f.Stats().Peers["seed"]; p.Corrupt+p.Failed+p.Stalled > 0 {
		t.Errorf("the seed is blamed: %+v", p)
	}
	if st := store.Stats(); st.Blobs < 5 || st.Bytes > st.Quota {
		t.Errorf("%+v", st)
	}
}
