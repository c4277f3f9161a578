package state

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// populated has n sessions of one value of 200 bytes, as one node would get them.
func populated(tb testing.TB, n int) *rig {
	tb.Helper()
	r := newRig(tb)
	value := make([]byte, 200)
	var buf []byte
	for i := range n {
		r.index++
		buf = Create{keyOf(i), 30 * time.Minute, 12 * time.Hour, []Entry{{"cart", value}}}.Append(buf[:0])
		r.Apply(r.index, r.now, buf)
		if i%1000 == 0 {
			r.pass(time.Millisecond)
		}
	}
	if r.Len() != n {
		tb.Fatalf("%d sessions, want %d", r.Len(), n)
	}
	return r
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

var memorySizes = flag.String("sessions", "150000,200000,260000", "numbers of sessions that TestMemoryPerSession makes")

// A session of a 200-byte value takes at most 385 bytes of live heap, freshly made or restored.
// Slow: it measures what hundreds of thousands of sessions take.
func TestMemoryPerSession(t *testing.T) {
	if testing.Short() || race.Enabled {
		t.Skip("measures memory")
	}
	const limit = 385
	for _, size := range strings.Split(*memorySizes, ",") { // maps grow by steps: by default, look on both sides of one
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		empty := liveHeap()
		r := populated(t, n)
		made := float64(liveHeap()-empty) / float64(n)
		pr, pw := io.Pipe()
		snap := r.Snapshot()
		go func() { _, err := snap.WriteTo(pw); pw.CloseWithError(err) }()
		r.Machine = nil
		m := New()
		if err := m.Restore(pr); err != nil {
			t.Fatal(err)
		}
		snap = nil
		again := float64(liveHeap()-empty) / float64(n)
		t.Logf("%d sessions: %.0f B each, %.0f B restored", n, made, again)
		if made > limit || again > limit {
			t.Errorf("more than %d B", limit)
		}
		runtime.KeepAlive(m)
	}
}

var sizes = []int{10_000, 1_000_000}

func forSizes(b *testing.B, f func(b *testing.B, r *rig, n int)) {
	for _, n := range sizes {
		var r *rig
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if r == nil {
				r = populated(b, n)
			}
			b.ReportAllocs()
			b.ResetTimer()
			f(b, r, n)
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	forSizes(b, func(b *testing.B, r *rig, n int) {
		rng, cmd := rand.New(rand.NewPCG(1, 1)), []byte(nil)
		sets := []Entry{{"cart", make([]byte, 200)}}
		for b.Loop() {
			cmd = Write{Key: keyOf(rng.IntN(n)), Sets: sets}.Append(cmd[:0])
			r.index++
			r.Apply(r.index, r.now, cmd)
		}
	})
}

func BenchmarkTouch(b *testing.B) {
	forSizes(b, func(b *testing.B, r *rig, n int) {
		rng, cmd, keys := rand.New(rand.NewPCG(1, 1)), []byte(nil), make([]Key, 100)
		for b.Loop() {
			for i := range keys {
				keys[i] = keyOf(rng.IntN(n))
			}
			cmd = Touch{keys}.Append(cmd[:0])
			r.index++
			r.pass(100 * time.Millisecond)
			r.Apply(r.index, r.now, cmd)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(keys)), "ns/key")
	})
}

func BenchmarkGet(b *testing.B) {
	forSizes(b, func(b *testing.B, r *rig, n int) {
		keys := make([]Key, 1024)
		for i := range keys {
			keys[i] = keyOf(i * (n / len(keys)))
		}
		i := 0
		for b.Loop() {
			i++
			rec, ok := r.Get(keys[i%len(keys)])
			if !ok {
				b.Fatal("no session")
			}
			rec.Value("cart")
		}
	})
}

// How long Apply stands still for a snapshot.
func BenchmarkSnapshotFreeze(b *testing.B) {
	forSizes(b, func(b *testing.B, r *rig, n int) {
		for b.Loop() {
			r.Snapshot()
		}
	})
}

func BenchmarkSnapshotWrite(b *testing.B) {
	forSizes(b, func(b *testing.B, r *rig, n int) {
		for b.Loop() {
			written, err := r.Snapshot().WriteTo(io.Discard)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(written)
		}
	})
}

func BenchmarkRestore(b *testing.B) {
	forSizes(b, func(b *testing.B, r *rig, n int) {
		for b.Loop() {
			pr, pw := io.Pipe()
			var wg sync.WaitGroup
			snap := r.Snapshot()
			wg.Go(func() { _, err := snap.WriteTo(pw); pw.CloseWithError(err) })
			if err := New().Restore(pr); err != nil {
				b.Fatal(err)
			}
			wg.Wait()
		}
	})
}

// A million sessions die in one second: how long does a Tick that collects a thousand of them hold up the rest?
func BenchmarkTickOfThousand(b *testing.B) {
	var pauses []time.Duration
	r := (*rig)(nil)
	for b.Loop() {
		if r == nil || r.Len() == 0 {
			b.StopTimer()
			r = populated(b, 1_000_000)
			r.pass(2 * time.Hour)
			b.StartTimer()
		}
		start := time.Now()
		r.apply(Tick{})
		pauses = append(pauses, time.Since(start))
	}
	slices.Sort(pauses)
	b.ReportMetric(float64(pauses[len(pauses)/2].Microseconds()), "median-µs")
	b.ReportMetric(float64(pauses[len(pauses)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(pauses[len(pauses)-1].Microseconds()), "max-µs")
}

// BenchmarkStalls has a million sessions and writes to them, one command after the other as a farm's log brings them, while
// first a snapshot is taken and written, and then all of them expire. How long does any one call take?
func BenchmarkStalls(b *testing.B) {
	runtime.LockOSThread() // see threadTime
	defer runtime.UnlockOSThread()
	const n = 1_000_000
	var freeze, beside, expiry stalls
	for b.Loop() {
		b.StopTimer()
		r := populated(b, n)
		rng, cmd := rand.New(rand.NewPCG(1, 1)), []byte(nil)
		sets := []Entry{{"cart", make([]byte, 200)}}
		write := func(s *stalls) {
			cmd = Write{Key: keyOf(rng.IntN(n)), Sets: sets}.Append(cmd[:0])
			r.index++
			s.time(func() { r.Apply(r.index, r.now, cmd) })
		}
		b.StartTimer()
		var snap io.WriterTo
		freeze.time(func() { snap = r.Snapshot() })
		written := make(chan error, 1)
		go func() { _, err := snap.WriteTo(io.Discard); written <- err }()
		for err := error(nil); ; {
			select {
			case err = <-written:
			default:
				write(&beside)
				continue
			}
			if err != nil {
				b.Fatal(err)
			}
			break
		}
		r.pass(2 * time.Hour) // every one is past its time
		for r.Len() > 0 {
			r.index++
			cmd = Tick{}.Append(cmd[:0])
			expiry.time(func() { r.Apply(r.index, r.now, cmd) })
			write(&expiry)
		}
	}
	freeze.report(b, "freeze")
	beside.report(b, "beside-snapshot")
	expiry.report(b, "expiry")
}
