package retry

import (
	"sync"
	"time"
)

const (
	budgetShare  = 5  // one retry for so many requests
	budgetFloor  = 3  // retries a second, whatever the number of requests
	budgetWindow = 10 // seconds that count
)

// Budget bounds retries, so that a farm in trouble is not asked for several times the work: a fifth of the
// requests of the last ten seconds, and three a second. It is safe for concurrent use.
type Budget struct {
	now func() time.Time

	mu      sync.Mutex
	second  int64                // the newest one counted; guarded by mu
	buckets [budgetWindow]bucket // by second; guarded by mu
	sum     bucket               // of buckets; guarded by mu
}

type bucket struct{ requests, retries int }

// NewBudget returns a Budget that reads the time from now.
func NewBudget(now func() time.Time) *Budget { return &Budget{now: now} }

// Request notes that a request came.
func (b *Budget) Request() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.currentLocked().requests++
	b.sum.requests++
}

// Take takes one retry from the budget, and reports false if there is none.
func (b *Budget) Take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	bk := b.currentLocked()
	if !b.creditLocked() {
		return false
	}
	bk.retries++
	b.sum.retries++
	return true
}

func (b *Budget) creditLocked() bool {
	return b.sum.retries < b.sum.requests/budgetShare+budgetFloor*budgetWindow
}

// currentLocked forgets what is too old, and returns what counts the present second. A clock that goes back
// changes nothing.
func (b *Budget) currentLocked() *bucket {
	now := b.now().Unix()
	if now-b.second >= budgetWindow {
		b.buckets, b.sum, b.second = [budgetWindow]bucket{}, bucket{}, now
	}
	for b.second < now {
		b.second++
		old := &b.buckets[b.second%budgetWindow]
		b.sum.requests -= old.requests
		b.sum.retries -= old.retries
		*old = bucket{}
	}
	return &b.buckets[b.second%budgetWindow]
}

const (
	backoffBase = 25 * time.Millisecond
	backoffCap  = 250 * time.Millisecond
)

// Backoff returns how long to wait before retry n of a request, the first being 0. r is a random number, at
// least 0 and below 1.
func Backoff(n int, r float64) time.Duration {
	most := backoffCap
	if n >= 0 && n < 4 {
		most = min(backoffBase<<n, backoffCap)
	}
	return time.Duration(r * float64(most))
}
