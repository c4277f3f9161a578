package limit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// fill takes all the places of l.
func fill(t *testing.T, l *Limiter, n int) []*Slot {
	t.Helper()
	var slots []*Slot
	for i := range n {
		s := new(Slot)
		if !l.TryEnter(Normal, s) {
			t.Fatalf("no place for request %d of %d", i, n)
		}
		slots = append(slots, s)
	}
	return slots
}

// want fails unless l has so much to do.
func want(t *testing.T, l *Limiter, running, waiting, streams int) {
	t.Helper()
	synctest.Wait()
	if got := l.Load(); got.Running != running || got.Waiting != waiting || got.Streams != streams {
		t.Fatalf("%+v, not %d running, %d waiting, %d streams", got, running, waiting, streams)
	}
}

// line has requests wait, and takes down in which order they got a place and how many did not.
type line struct {
	l      *Limiter
	served []int
	shed   []int // sorted
	mu     sync.Mutex
	wg     sync.WaitGroup
}

func (w *line) join(i int, class Class) {
	w.wg.Go(func() {
		s := new(Slot)
		err := w.l.Enter(context.Background(), class, s)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil {
			w.shed = append(w.shed, i)
			slices.Sort(w.shed)
			return
		}
		w.served = append(w.served, i)
	})
	synctest.Wait()
}

func TestLimitAndQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := New(8, 0)
		slots := fill(t, l, 8)
		if l.TryEnter(Forwarded, new(Slot)) {
			t.Fatal("a ninth one runs")
		}
		w := line{l: l}
		w.join(1, Normal)
		w.join(2, Normal)
		want(t, l, 8, 2, 0)
		start := time.Now()
		if err := l.Enter(t.Context(), Normal, new(Slot)); !errors.Is(err, ErrFull) || time.Since(start) > 0 {
			t.Fatalf("a queue of more than a quarter: %v after %v", err, time.Since(start))
		}
		slots[0].Leave()
		slots[0].Leave() // once only
		want(t, l, 8, 1, 0)
		if l.TryEnter(Normal, new(Slot)) {
			t.Fatal("somebody came before who waits")
		}
		w.wg.Wait() // the second is not served: its time is up
		if !slices.Equal(w.served, []int{1}) || !slices.Equal(w.shed, []int{2}) || time.Since(start) != interval {
			t.Fatalf("served %v, refused %v after %v", w.served, w.shed, time.Since(start))
		}
		want(t, l, 8, 0, 0)
	})
}

func TestGivenUpWhileWaiting(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := New(4, 0)
		slots := fill(t, l, 4)
		gone := errors.New("the client has gone")
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Millisecond, func() { cancel(gone) })
		if err := l.Enter(ctx, Normal, new(Slot)); !errors.Is(err, gone) {
			t.Fatalf("%v, not %v", err, gone)
		}
		slots[0].Leave()
		want(t, l, 3, 0, 0)
	})
}

// TestOldestFirst: a burst is served in its order.
func TestOldestFirst(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := New(16, 0)
		slots := fill(t, l, 16)
		w := line{l: l}
		for i := range 4 {
			w.join(i, Normal)
		}
		for _, s := range slots[:4] {
			time.Sleep(time.Millisecond)
			s.Leave()
			synctest.Wait()
		}
		if !slices.Equal(w.served, []int{0, 1, 2, 3}) {
			t.Fatalf("served in the order %v", w.served)
		}
	})
}

// TestNewestFirst: where the queue has not become empty for 100 ms, the newest is served and the old ones are
// refused.
func TestNewestFirst(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := New(16, 0)
		slots := fill(t, l, 16)
		w := line{l: l}
		for i := range 4 {
			w.join(i, Normal)
			time.Sleep(interval / 4)
		}
		want(t, l, 16, 3, 0) // the first one's time is up
		w.join(4, Normal)
		w.join(5, Normal) // there is room, at the cost of the oldest
		want(t, l, 16, 4, 0)
		slots[0].Leave()
		want(t, l, 16, 1, 0)
		if !slices.Equal(w.served, []int{5}) || !slices.Equal(w.shed, []int{0, 1, 2, 3}) {
			t.Fatalf("served %v, refused %v", w.served, w.shed)
		}
		slots[1].Leave()
		want(t, l, 16, 0, 0)
		w.join(6, Normal) // the queue was empty: it is no overload any more
		w.join(7, Normal)
		slots[2].Leave()
		synctest.Wait()
		if !slices.Equal(w.served, []int{5, 4, 6}) {
			t.Fatalf("served %v", w.served)
		}
		w.wg.Wait()
	})
}

// TestForwardedFirst: who was sent here by another node comes before this node's own clients.
func TestForwardedFirst(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := New(8, 0)
		slots := fill(t, l, 8)
		w := line{l: l}
		w.join(1, Normal)
		w.join(2, Normal)
		w.join(3, Forwarded) // in the place of 1
		want(t, l, 8, 2, 0)
		slots[0].Leave()
		synctest.Wait()
		slots[1].Leave()
		synctest.Wait()
		if !slices.Equal(w.served, []int{3, 2}) || !slices.Equal(w.shed, []int{1}) {
			t.Fatalf("served %v, refused %v", w.served, w.shed)
		}
	})
}

func TestStreamsAreApart(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := New(4, 0)
		var streams []*Slot
		for range 1000 {
			s := fill(t, l, 1)[0]
			s.Stream()
			s.Stream()
			streams = append(streams, s)
		}
		want(t, l, 0, 0, 1000)
		slots := fill(t, l, 4)
		w := line{l: l}
		w.join(1, Normal)
		slots[0].Stream() // gives its place to who waits
		want(t, l, 4, 0, 1001)
		for _, s := range streams {
			s.Leave()
			s.Leave()
			s.Stream()
		}
		want(t, l, 4, 0, 1)
		slots[0].Leave()
		want(t, l, 4, 0, 0)
		new(Slot).Leave()
	})
}

// TestTenTimesTheLoad: with ten times what can be done, what can be done is done, and none of it has waited
// for long.
func TestTenTimesTheLoad(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const places, service = 20, 10 * time.Millisecond // 2000 a second
		l := New(places, 0)
		var wg sync.WaitGroup
		var done, late, most atomic.Int64
		running := new(atomic.Int64)
		begin := time.Now()
		for range 40_000 { // in two seconds
			time.Sleep(50 * time.Microsecond)
			wg.Go(func() {
				came := time.Now()
				var s Slot
				if l.Enter(context.Background(), Normal, &s) != nil {
					return
				}
				if time.Since(came) > target && time.Since(begin) > 2*interval {
					late.Add(1)
				}
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(service)
				running.Add(-1)
				s.Leave()
				done.Add(1)
			})
		}
		wg.Wait()
		if n := done.Load(); n < 3900 {
			t.Errorf("%d requests of the 4000 that could be done", n)
		}
		if n := late.Load(); n > 0 {
			t.Errorf("%d have waited for more than %v under overload", n, target)
		}
		if most.Load() > places {
			t.Errorf("%d ran at a time", most.Load())
		}
		want(t, l, 0, 0, 0)
	})
}

// TestTogether uses a Limiter from many goroutines. All places are back at the end, and nobody waits in vain.
func TestTogether(t *testing.T) {
	l := New(4, 0)
	var running, over atomic.Int64
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 500 {
				var s Slot
				class := Class(g % 2)
				if g%3 == 0 && !l.TryEnter(class, &s) || g%3 != 0 && l.Enter(context.Background(), class, &s) != nil {
					continue
				}
				if running.Add(1) > 4 {
					over.Add(1)
				}
				running.Add(-1)
				if i%7 == 0 {
					s.Stream()
				}
				s.Leave()
			}
		})
	}
	wg.Wait()
	if got := l.Load(); got.Running != 0 || got.Waiting != 0 || got.Streams != 0 || over.Load() > 0 {
		t.Errorf("%+v at the end; %d times too many ran", got, over.Load())
	}
}

func TestEnterAllocatesNothing(t *testing.T) {
	l := New(0, 100)
	var s Slot
	if a := ci.Allocs(100, 0, func() {
		l.Enter(context.Background(), Normal, &s)
		s.Leave()
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func BenchmarkEnter(b *testing.B) {
	l := New(0, 100)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var s Slot
		for pb.Next() {
			l.Enter(context.Background(), Normal, &s)
			s.Leave()
		}
	})
}
