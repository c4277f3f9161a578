package ci

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
)

// busy says how busy the machine and this process are, for whoever has to tell a fault from a machine that is too slow: how
// long goroutines that could run have waited for a processor, since the process began. It is for Latef.
func busy() string {
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(sample)
	text := fmt.Sprintf("%d goroutines, %d processors", runtime.NumGoroutine(), runtime.GOMAXPROCS(0))
	if sample[0].Value.Kind() == metrics.KindFloat64Histogram {
		h := sample[0].Value.Float64Histogram()
		text += fmt.Sprintf("; waits for a processor: one in 100 over %.3g s, one in 10,000 over %.3g s, the longest over %.3g s",
			atLeast(h, 0.99), atLeast(h, 0.9999), atLeast(h, 1))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		text += "; load " + strings.TrimSpace(string(load))
	}
	return text
}

// atLeast returns what the value at a quantile is at least: the lower end of its bucket; 0 where there are none.
func atLeast(h *metrics.Float64Histogram, quantile float64) float64 {
	all := uint64(0)
	for _, n := range h.Counts {
		all += n
	}
	seen, want := uint64(0), uint64(math.Ceil(quantile*float64(all)))
	for i, n := range h.Counts {
		if seen += n; n > 0 && seen >= want {
			return max(h.Buckets[i], 0)
		}
	}
	return 0
}
