package swarm

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

func TestFetch(t *testing.T) {
	var sw swarm
	seed := openStore(t, blob.StoreConfig{Dir: t.TempDir()})
	refs := fill(t, seed, 300, 20_000)
	h := sw.serve(t, "seed", seed, HandlerConfig{})
	store := openStore(t, blob.StoreConfig{Dir: t.TempDir()})
	f := sw.fetcher(t, "n1", store, FetcherConfig{})
	var last Progress
	err := f.Fetch(blobtest.Context(t), refs, func(p Progress) {
		if p.Bytes < last.Bytes || p.Blobs < last.Blobs {
			t.Errorf("progress goes back from %+v to %+v", last, p)
		}
		last = p
	})
	ci.Awaited(t, "fetch", err)
	holds(t, store, refs)
	if want := (Progress{Blobs: 300, TotalBlobs: 300, Bytes: 6_000_000, TotalBytes: 6_000_000}); last != want {
		t.Errorf("progress ends with %+v, want %+v", last, want)
	}
	if st := h.Stats(); st.Sent != 6_000_000 || st.Blobs != 300 || st.Peers["127.0.0.1"] != st.Sent {
		t.Errorf("sent: %+v", st)
	}
	if st := f.Stats(); st.Received != 6_000_000 || st.Blobs != 300 || st.Wasted != 0 ||
		st.Peers["seed"].Received != st.Received {
		t.Errorf("received: %+v", st)
	}
}

// Ten nodes get a release from one: it sends each blob twice at most, and they give it to each other.
// Slow: nine nodes fetch three releases, over real connections.
func TestSeedSendsTwoCopies(t *testing.T) {
	for _, shape := range []struct{ count, size int }{{200, 5_000}, {6, 512 << 10}, {1, 1 << 20}} {
		t.Run(fmt.Sprintf("%d blobs of %d bytes", shape.count, shape.size), func(t *testing.T) {
			var sw swarm
			seed := openStore(t, blob.StoreConfig{})
			refs := fill(t, seed, shape.count, shape.size)
			h := sw.serve(t, "seed", seed, HandlerConfig{})
			h.turns.length, h.turns.slow = time.Hour, time.Hour // however busy the machine is
			ctx := blobtest.Context(t)
			const nodes = 9
			stores, errs := make([]*blob.Store, nodes), make([]error, nodes)
			fetchers := make([]*Fetcher, nodes)
			for i := range nodes {
				id := fmt.Sprintf("n%d", i)
				stores[i] = openStore(t, blob.StoreConfig{})
				sw.serve(t, id, stores[i], HandlerConfig{})
				fetchers[i] = sw.fetcher(t, id, stores[i], FetcherConfig{Stall: blobtest.Patience, Patience: blobtest.Patience})
				fetchers[i].insist = time.Hour
			}
			var wg sync.WaitGroup
			for i := range nodes {
				wg.Go(func() { errs[i] = fetchers[i].Fetch(ctx, refs, nil) })
			}
			wg.Wait()
			for i := range nodes {
				ci.Awaited(t, fmt.Sprintf("fetch by n%d", i), errs[i])
				holds(t, stores[i], refs)
			}
			total := int64(shape.count * shape.size)
			if got := h.Stats().Sent; got > 2*total || got < total {
				t.Errorf("the seed has sent %d bytes for a release of %d", got, total)
			}
		})
	}
}
