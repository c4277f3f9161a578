package cluster

import (
	"sync"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// leaderBatch is a batch on the leader, and where its answer goes.
type leaderBatch struct {
	wire.Batch
	done chan leaderAnswer // holds one
	// the same batch, sent again since this one was taken; guarded by the mutex of takenBatches
	again []*leaderBatch
}

// batchKey names a batch: an origin numbers its own.
type batchKey struct{ origin, seq uint64 }

// takenBatches are those that stand in entries which are made or in flight. A batch that comes again
// meanwhile, over a new connection, is not put into the log again: it gets the answer of the first.
type takenBatches struct {
	mu    sync.Mutex
	byKey map[batchKey]*leaderBatch
}

// add takes b up, or lets it wait for the answer of the same batch if that was taken before.
func (t *takenBatches) add(b *leaderBatch) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := batchKey{b.Origin, b.Seq}
	if before := t.byKey[key]; before != nil {
		before.again = append(before.again, b)
		return false
	}
	if t.byKey == nil {
		t.byKey = make(map[batchKey]*leaderBatch)
	}
	t.byKey[key] = b
	return true
}

// end answers a batch that add took up, and all that came again.
func (t *takenBatches) end(b *leaderBatch, a leaderAnswer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byKey, batchKey{b.Origin, b.Seq})
	for _, x := range append(b.again, b) {
		x.done <- a
	}
}

// take puts a batch into the entry that is being put together, unless it is known what becomes of it without
// that.
func (s *sequencer) take(c *cargo, b *leaderBatch) {
	if a, known := s.in.fsm.Given(&b.Batch); known {
		b.done <- leaderAnswer{Answer: a}
		return
	}
	if s.taken.add(b) {
		c.add(b)
	}
}
