package ci

import (
	"math"
	"runtime/metrics"
	"strings"
	"testing"
)

func TestAtLeast(t *testing.T) {
	h := &metrics.Float64Histogram{Counts: []uint64{90, 9, 0, 1}, Buckets: []float64{math.Inf(-1), 1, 2, 3, math.Inf(1)}}
	for quantile, want := range map[float64]float64{0.5: 0, 0.9: 0, 0.91: 1, 0.99: 1, 0.999: 3, 1: 3} {
		if got := atLeast(h, quantile); got != want {
			t.Errorf("%v: %v, not %v", quantile, got, want)
		}
	}
	if got := atLeast(&metrics.Float64Histogram{Counts: []uint64{0}, Buckets: []float64{0, 1}}, 1); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// The runtime has what busy asks for.
func TestBusy(t *testing.T) {
	if got := busy(); !strings.Contains(got, "waits for a processor: one in 100 over") {
		t.Error(got)
	}
}
