package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// watched is what a worker saw while a node was killed: it starts a write and a read every watchEvery, whatever became of
// the ones before, so that a request which hangs does not hide that others get through.
type watched struct {
	Acked       []int64 // Unix ns, when writes were acknowledged; sorted
	Writes      int
	WriteErrors int
	Reads       int
	ReadErrors  int
	Why         string
}

const (
	watchEvery    = 10 * time.Millisecond
	watchPatience = 4 * time.Second // for one request; then it counts as failed
)

func watch(c client, o order) (r watched) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	fail := func(n *int, err error) {
		*n++
		r.Why = err.Error()
	}
	end := time.Now().Add(o.For)
	for i := 0; time.Now().Before(end); i++ {
		<-tick.C
		key := o.First + i%o.Keys
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), watchPatience)
			defer cancel()
			err := c.Write(ctx, keyName(key), valueOf(key+i))
			mu.Lock()
			defer mu.Unlock()
			if r.Writes++; err != nil {
				fail(&r.WriteErrors, err)
				return
			}
			r.Acked = append(r.Acked, time.Now().UnixNano())
		})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), watchPatience)
			defer cancel()
			err := c.Read(ctx, keyName(key))
			mu.Lock()
			defer mu.Unlock()
			if r.Reads++; err != nil {
				fail(&r.ReadErrors, err)
			}
		})
	}
	wg.Wait()
	slices.Sort(r.Acked)
	return r
}

// pause returns the longest time without an acknowledged write that ended after at.
func (w *watched) pause(at time.Time) time.Duration {
	longest := time.Duration(0)
	for i := 1; i < len(w.Acked); i++ {
		if w.Acked[i] >= at.UnixNano() {
			longest = max(longest, time.Duration(w.Acked[i]-w.Acked[i-1]))
		}
	}
	return longest
}
