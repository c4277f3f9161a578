// Package gauge counts and times what a node does, for cluster.Stats. What is measured lies on the paths of
// every write, so that everything here is atomic numbers: nobody waits for anybody.
package gauge

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of a Histogram's buckets, each of which holds what took at most so long and
// longer than the bound before. One more bucket holds what took longer than the last.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Histogram says how long something took, of all times that it was done. Its zero value has seen nothing.
type Histogram struct {
	total, most atomic.Int64
	buckets     [len(Bounds) + 1]atomic.Uint64
}

// Observe notes that it took d.
func (h *Histogram) Observe(d time.Duration) {
	h.total.Add(int64(d))
	for most := h.most.Load(); int64(d) > most; most = h.most.Load() {
		if h.most.CompareAndSwap(most, int64(d)) {
			break
		}
	}
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
}

// Since is Observe of the time since then.
func (h *Histogram) Since(then time.Time) { h.Observe(time.Since(then)) }

// Read returns what was seen so far. What is noted meanwhile may be in some of it.
func (h *Histogram) Read() (total, most time.Duration, buckets []uint64) {
	buckets = make([]uint64, len(h.buckets))
	for i := range h.buckets {
		buckets[i] = h.buckets[i].Load()
	}
	return time.Duration(h.total.Load()), time.Duration(h.most.Load()), buckets
}

// Queue says how much waits. Its zero value is empty.
type Queue struct{ count, bytes atomic.Int64 }

// Add notes that so much more waits, or less.
func (q *Queue) Add(count, bytes int) {
	q.count.Add(int64(count))
	q.bytes.Add(int64(bytes))
}

// Read returns how much waits.
func (q *Queue) Read() (count, bytes int64) { return q.count.Load(), q.bytes.Load() }
