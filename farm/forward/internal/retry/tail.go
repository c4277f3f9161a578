package retry

import (
	"math"
	"sync"
	"time"
)

const (
	tailFirst   = time.Millisecond // what the first bucket holds at most
	tailPer     = 4                // buckets for each doubling
	tailBuckets = 17*tailPer + 1   // so the last one begins at two minutes
	tailLeast   = 100              // answers, before there is a limit
	tailMost    = 2000             // answers; then all count half

	triesOfTail = 3                // times the tail is the limit,
	leastTry    = 2 * time.Second  // but not less than this: what holds up all nodes, as an election, is no one's fault
	mostTry     = 30 * time.Second // and there is none if it would be more
)

// Tail is how long the peers take to begin their answers to the requests of a route. The zero Tail knows nothing.
// A nil one never does. It is safe for concurrent use.
type Tail struct {
	mu     sync.Mutex
	counts [tailBuckets]int // by the time that answers took; guarded by mu
	sum    int              // guarded by mu
}

// Add takes note of an attempt: of the time until its answer began, or until it was given up as too slow. Such
// ones count, or a limit that has become too short would stay so.
func (t *Tail) Add(took time.Duration) {
	if t == nil {
		return
	}
	i := 0
	if took > tailFirst {
		i = int(math.Ceil(tailPer * math.Log2(float64(took)/float64(tailFirst))))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[min(i, tailBuckets-1)]++
	if t.sum++; t.sum < tailMost {
		return
	}
	t.sum = 0
	for i := range t.counts {
		t.counts[i] /= 2
		t.sum += t.counts[i]
	}
}

// Limit returns how long a peer may take to begin an answer: three times what 99 of a hundred take. 0 = for as long
// as it likes, because too little is known, or the route is slow anyway.
func (t *Tail) Limit() time.Duration {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sum < tailLeast {
		return 0
	}
	rest := t.sum / 100 // may take longer
	i := tailBuckets - 1
	for ; i > 0 && t.counts[i] <= rest; i-- {
		rest -= t.counts[i]
	}
	p99 := time.Duration(float64(tailFirst) * math.Exp2(float64(i)/tailPer))
	if limit := triesOfTail * p99; limit <= mostTry {
		return max(limit, leastTry)
	}
	return 0
}
