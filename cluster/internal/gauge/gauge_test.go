package gauge

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	if !slices.IsSorted(Bounds[:]) {
		t.Fatal("the bounds do not rise")
	}
	var h Histogram
	for _, d := range []time.Duration{0, Bounds[0], Bounds[0] + 1, time.Second, time.Hour} {
		h.Observe(d)
	}
	total, most, buckets := h.Read()
	if total != Bounds[0]*2+1+time.Second+time.Hour || most != time.Hour {
		t.Errorf("total %v, most %v", total, most)
	}
	want := make([]uint64, len(Bounds)+1)
	want[0], want[1], want[slices.Index(Bounds[:], time.Second)], want[len(Bounds)] = 2, 1, 1, 1
	if !slices.Equal(buckets, want) {
		t.Errorf("buckets %v, want %v", buckets, want)
	}
}

func TestQueue(t *testing.T) {
	var q Queue
	var wg sync.WaitGroup
	q.Add(2, 100)
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				q.Add(1, 10)
				q.Add(-1, -10)
			}
		})
	}
	wg.Wait()
	if count, bytes := q.Read(); count != 2 || bytes != 100 {
		t.Errorf("%d waiting, %d bytes", count, bytes)
	}
	q.Add(-2, -100)
	if count, bytes := q.Read(); count != 0 || bytes != 0 {
		t.Errorf("%d waiting, %d bytes", count, bytes)
	}
}
