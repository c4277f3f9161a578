package limit

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// observe tells l of so many steps with this delay.
func observe(l *Limiter, steps int, delay time.Duration) {
	for range steps {
		l.Observe(delay)
	}
}

// TestHealthyNodeRefusesNothing: handlers that wait, however many, are no overload, nor are short delays.
func TestHealthyNodeRefusesNothing(t *testing.T) {
	l := New(0, 100)
	slots := fill(t, l, 20_000)
	observe(l, 1000, tooLate)
	for range 100 {
		observe(l, stepsLate-1, time.Second) // a pause of the garbage collector, or of the machine
		observe(l, 1, 0)
	}
	if got := l.Load(); got.Limit != 0 || got.Running != 20_000 || got.Refused != 0 {
		t.Fatalf("%+v", got)
	}
	for _, s := range slots {
		s.Leave()
	}
}

func TestLimitFollowsTheProcessors(t *testing.T) {
	l := New(0, 100)
	slots := fill(t, l, 1000)
	observe(l, stepsLate, 50*time.Millisecond)
	if n := l.Load().Limit; n != 900 {
		t.Fatalf("the first limit is %d, not 0.9 of what ran", n)
	}
	if l.TryEnter(Forwarded, new(Slot)) {
		t.Fatal("more run than the limit")
	}
	observe(l, 100*stepsLate, 50*time.Millisecond)
	if n := l.Load().Limit; n != 100 {
		t.Fatalf("the limit falls to %d, not to the floor", n)
	}
	for _, s := range slots[:900] {
		s.Leave()
	}
	observe(l, stepsGood, time.Millisecond)
	if n := l.Load().Limit; n != 105 {
		t.Fatalf("the limit rises to %d", n)
	}
	for range 5 { // as long as it is used
		slots = append(slots, fill(t, l, 5)...)
		observe(l, stepsGood, time.Millisecond)
	}
	if n := l.Load().Limit; n < 120 || n > 150 {
		t.Fatalf("the limit rises to %d", n)
	}
	for _, s := range slots {
		s.Leave()
	}
	observe(l, 2*stepsGood, time.Millisecond)
	if n := l.Load().Limit; n != 0 {
		t.Fatalf("where little runs there is a limit still: %d", n)
	}
}

func TestNoFloorIsUndercut(t *testing.T) {
	l := New(0, 100)
	fill(t, l, 20)
	observe(l, 100*stepsLate, time.Hour)
	if n := l.Load().Limit; n != 100 {
		t.Errorf("the limit is %d; the floor 100", n)
	}
}

func TestFixedAndNone(t *testing.T) {
	for max, want := range map[int]int{7: 7, -1: 0} {
		l := New(max, 100)
		observe(l, 100*stepsLate, time.Hour)
		if n := l.Load().Limit; n != want {
			t.Errorf("the limit of New(%d) is %d", max, n)
		}
	}
}

func TestTenth(t *testing.T) {
	buckets := []float64{-1, 0.001, 0.01, 0.1, 1}
	for _, c := range []struct {
		counts, before []uint64
		want           time.Duration
	}{
		{[]uint64{9, 0, 0, 0}, []uint64{0, 0, 0, 0}, 0},   // too few
		{[]uint64{100, 0, 0, 0}, []uint64{0, 0, 0, 0}, 0}, // none late
		{[]uint64{90, 0, 10, 0}, []uint64{0, 0, 0, 0}, 0}, // a tenth, and no more
		{[]uint64{89, 0, 11, 0}, []uint64{0, 0, 0, 0}, 10 * time.Millisecond},
		{[]uint64{89, 0, 11, 900}, []uint64{0, 0, 0, 900}, 10 * time.Millisecond}, // what was before is no matter
		{[]uint64{0, 0, 0, 50}, []uint64{0, 0, 0, 0}, 100 * time.Millisecond},
		{[]uint64{0, 0, 0, 50}, nil, 0},
	} {
		if got := tenth(c.counts, c.before, buckets); got != c.want {
			t.Errorf("%v less %v: %v, not %v", c.counts, c.before, got, c.want)
		}
	}
}

// TestMeter: many goroutines that all compute wait for a processor, and the Meter sees that.
func TestMeter(t *testing.T) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop.Store(true)
	for range 64 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !stop.Load() {
				runtime.Gosched()
				for end := time.Now().Add(time.Millisecond); time.Now().Before(end); {
				}
			}
		})
	}
	var m Meter
	if d := m.Read(); d != 0 {
		t.Errorf("the first time it reads %v", d)
	}
	tick := time.NewTicker(Step)
	defer tick.Stop()
	for range 300 {
		<-tick.C
		if m.Read() > tooLate {
			return
		}
	}
	ci.Latef(t, "the meter sees no delay of %v", tooLate)
}

// A limit begins with what runs lately, and not with what has run at some time.
func TestFirstLimitIsOfLately(t *testing.T) {
	l := New(0, 100)
	slots := fill(t, l, 1000)
	for _, s := range slots[:800] {
		s.Leave()
	}
	observe(l, stepsGood, 0)
	observe(l, stepsLate, time.Second)
	if n := l.Load().Limit; n != 180 {
		t.Errorf("200 run, and the first limit is %d", n)
	}
	for _, s := range slots[800:] {
		s.Leave()
	}
}
