package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are 3 % wide at most, from a microsecond on.
type histogram struct {
	Counts []int64
}

const subBits = 5 // buckets for each power of two: 1 << subBits

func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0).Microseconds())
	if us < 1<<subBits {
		return int(us)
	}
	shift := bits.Len64(us) - subBits - 1
	return shift<<subBits + int(us>>shift)
}

// durationOf returns the middle of a bucket.
func durationOf(bucket int) time.Duration {
	if bucket < 1<<(subBits+1) {
		return time.Duration(bucket) * time.Microsecond
	}
	shift := bucket>>subBits - 1
	low := uint64(bucket-shift<<subBits) << shift
	return time.Duration(low+1<<shift/2) * time.Microsecond
}

func (h *histogram) add(d time.Duration) {
	b := bucketOf(d)
	if b >= len(h.Counts) {
		h.Counts = append(h.Counts, make([]int64, b+1-len(h.Counts))...)
	}
	h.Counts[b]++
}

func (h *histogram) merge(o histogram) {
	if n := len(o.Counts) - len(h.Counts); n > 0 {
		h.Counts = append(h.Counts, make([]int64, n)...)
	}
	for i, c := range o.Counts {
		h.Counts[i] += c
	}
}

func (h *histogram) count() (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// quantile returns the duration that a share q of all does not exceed, 0 if there is none.
func (h *histogram) quantile(q float64) time.Duration {
	left := int64(q * float64(h.count()))
	for b, c := range h.Counts {
		if left -= c; c > 0 && left < 0 {
			return durationOf(b)
		}
	}
	return durationOf(max(len(h.Counts)-1, 0))
}
