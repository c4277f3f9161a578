package limit

import (
	"math"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// Step is how often Observe is to be called.
	Step = 100 * time.Millisecond

	tooLate    = 20 * time.Millisecond // goroutines that could run wait for a processor: there is too much to do
	stepsLate  = 10                    // in a row, before there is a limit, or a lower one
	stepsGood  = 10                    // in a row, before it is raised
	lowerBy    = 0.9
	raiseBy    = 1.05
	spareTwice = 2 // a limit of so many times what runs is none
)

// adapt finds a limit.
type adapt struct {
	floor int64

	mu         sync.Mutex
	late, good int // steps in a row; guarded by mu
}

// Observe is told, every Step, how long goroutines that could run have waited for a processor. It changes a
// limit that is not fixed.
func (l *Limiter) Observe(delay time.Duration) {
	a := l.adapt
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if delay > tooLate {
		a.late, a.good = a.late+1, 0
	} else {
		a.late, a.good = 0, a.good+1
	}
	limit, most := l.limit.Load(), l.most.Load()
	switch {
	case a.late >= stepsLate:
		a.late = 0
		if limit == 0 {
			limit = most
		}
		limit = max(int64(float64(limit)*lowerBy), a.floor)
	case a.good >= stepsGood:
		a.good = 0 // also without a limit: what the most was yesterday is no measure
		if limit = int64(math.Ceil(float64(limit) * raiseBy)); limit > spareTwice*most {
			limit = 0
		}
	default:
		return
	}
	l.limit.Store(limit)
	l.most.Store(l.running.Load())
	l.mu.Lock()
	l.grantLocked()
	l.mu.Unlock()
}

// Meter measures how long goroutines that can run wait for a processor. The zero Meter is ready. One
// goroutine may use it.
type Meter struct {
	sample []metrics.Sample
	before []uint64
}

// leastRuns is how many goroutines must have begun to run, or the measurement says nothing.
const leastRuns = 10

// Read returns how long one in ten has waited at least since it was called before; 0 the first time.
func (m *Meter) Read() time.Duration {
	if m.sample == nil {
		m.sample = []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	}
	metrics.Read(m.sample)
	if m.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0 // a Go that does not measure it
	}
	h := m.sample[0].Value.Float64Histogram()
	d := tenth(h.Counts, m.before, h.Buckets)
	m.before = append(m.before[:0], h.Counts...)
	return d
}

// tenth returns the lower end of the bucket that holds the value above which a tenth of the counts is, less
// those before.
func tenth(counts, before []uint64, buckets []float64) time.Duration {
	if len(before) != len(counts) {
		return 0
	}
	var sum uint64
	for i := range counts {
		sum += counts[i] - before[i]
	}
	if sum < leastRuns {
		return 0
	}
	rest := sum / 10
	for i := len(counts) - 1; i >= 0; i-- {
		n := counts[i] - before[i]
		if n > rest {
			return time.Duration(max(buckets[i], 0) * float64(time.Second))
		}
		rest -= n
	}
	return 0
}
