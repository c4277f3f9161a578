package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// Thousands of small blobs come from two peers. The long form has ten thousand, with a gigabyte in them.
//
// Slow: 5,000 files are written twice.
func TestManyBlobs(t *testing.T) {
	count, size := 5_000, 200
	if race.Enabled {
		count = 2_000
	}
	if ci.Torture() {
		count, size = 10_000, 105_000
	}
	var sw swarm
	seed := openStore(t, blob.StoreConfig{})
	refs := fillPlain(t, seed, count, size)
	for _, id := range []string{"n1", "n2"} {
		sw.serve(t, id, seed, HandlerConfig{})
	}
	store := openStore(t, blob.StoreConfig{Dir: t.TempDir()})
	f := sw.fetcher(t, "n3", store, FetcherConfig{Patience: blobtest.Patience, Stall: blobtest.Patience})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	calls := 0
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	ci.Awaited(t, "fetch", f.Fetch(ctx, refs, func(Progress) { calls++ }))
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	t.Logf("%d blobs of %d bytes in %v, %d MB/s, %d bytes allocated for each", count, size, took,
		int64(count)*int64(size)/max(took.Microseconds(), 1), (after.TotalAlloc-before.TotalAlloc)/uint64(count))
	if m := store.Missing(refs); len(m) > 0 {
		t.Fatalf("%d are missing", len(m))
	}
	if most := int(took/reportEvery) + 2; calls > most {
		t.Errorf("%d calls of progress in %v", calls, took)
	}
	st := f.Stats()
	if total := int64(count) * int64(size); st.Received != total || st.Wasted != 0 {
		t.Errorf("%d bytes received for %d; %+v", st.Received, total, st)
	}
	if a, b := st.Peers["n1"].Received, st.Peers["n2"].Received; a == 0 || b == 0 {
		t.Errorf("one peer has done all of it: %d, %d", a, b)
	}

	// Ten of them change: only those come.
	changed := append([]blob.Ref(nil), refs...)
	copy(changed, fillPlain(t, seed, 10, size+1))
	ci.Awaited(t, "fetch of what changed", f.Fetch(ctx, changed, nil))
	if got, want := f.Stats().Received-st.Received, 10*int64(size+1); got != want {
		t.Errorf("%d bytes were received for %d that changed", got, want)
	}
}

// fillPlain puts blobs that are quick to make: a number, and zeros.
func fillPlain(t testing.TB, s *blob.Store, count, size int) []blob.Ref {
	t.Helper()
	refs := make([]blob.Ref, count)
	b := make([]byte, size)
	for i := range refs {
		binary.LittleEndian.PutUint64(b, uint64(i))
		h, err := s.Add(context.Background(), blob.Hash{}, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = blob.Ref{Hash: h, Size: int64(size)}
	}
	return refs
}

// A release of a gigabyte spreads to ten nodes. The seed sends two copies at most.
//
// Slow: ten gigabytes are moved; by make torture only.
func TestTortureSwarm(t *testing.T) {
	if !ci.Torture() {
		t.Skip("by make torture only")
	}
	const nodes, count, size = 9, 256, 4 << 20
	var sw swarm
	seed := openStore(t, blob.StoreConfig{})
	refs := fillPlain(t, seed, count, size)
	h := sw.serve(t, "seed", seed, HandlerConfig{})
	h.turns.length, h.turns.slow = time.Hour, time.Hour
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	errs := make([]error, nodes)
	fetchers := make([]*Fetcher, nodes)
	for i := range nodes {
		id := fmt.Sprintf("n%d", i)
		store := openStore(t, blob.StoreConfig{})
		sw.serve(t, id, store, HandlerConfig{})
		fetchers[i] = sw.fetcher(t, id, store, FetcherConfig{Stall: time.Hour, Patience: time.Hour})
		fetchers[i].insist = time.Hour
	}
	begin := time.Now()
	var wg sync.WaitGroup
	for i, f := range fetchers {
		wg.Go(func() { errs[i] = f.Fetch(ctx, refs, nil) })
	}
	wg.Wait()
	for i, f := range fetchers {
		ci.Awaited(t, fmt.Sprintf("fetch by n%d", i), errs[i])
		if m := f.config.Store.Missing(refs); len(m) > 0 {
			t.Errorf("n%d lacks %d", i, len(m))
		}
	}
	sent, total := h.Stats().Sent, int64(count)*size
	t.Logf("%d nodes have %d bytes each after %v; the seed has sent %.2f copies",
		nodes, total, time.Since(begin), float64(sent)/float64(total))
	if sent > 2*total {
		t.Errorf("the seed has sent %d bytes for a release of %d", sent, total)
	}
}
