package swarm

import (
	"context"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// BenchmarkFetch brings 1,000 files of 10 kB from two peers onto a disk, durably.
func BenchmarkFetch(b *testing.B) {
	var sw swarm
	seed := openStore(b, blob.StoreConfig{})
	const count, size = 1000, 10_000
	refs := fill(b, seed, count, size)
	var handlers []*Handler
	for _, id := range []string{"n1", "n2"} {
		handlers = append(handlers, sw.serve(b, id, seed, HandlerConfig{}))
	}
	b.SetBytes(count * size)
	for b.Loop() {
		b.StopTimer()
		store, err := blob.OpenStore(blob.StoreConfig{Dir: b.TempDir(), Reserve: -1})
		if err != nil {
			b.Fatal(err)
		}
		f := sw.fetcher(b, "n3", store, FetcherConfig{})
		for _, h := range handlers { // nobody has sent anything yet
			h.turns.mu.Lock()
			clear(h.turns.of)
			h.turns.mu.Unlock()
		}
		b.StartTimer()
		if err := f.Fetch(context.Background(), refs, nil); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		f.Close()
		store.Close()
		b.StartTimer()
	}
}
