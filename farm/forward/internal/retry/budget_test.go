package retry

import (
	"sync"
	"testing"
	"time"
)

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func takeAll(b *Budget) (n int) {
	for b.Take() {
		n++
	}
	return n
}

func TestBudget(t *testing.T) {
	c := newClock()
	b := NewBudget(c.now)
	if n := takeAll(b); n != 30 {
		t.Errorf("%d retries without a request, not 3 for each of 10 seconds", n)
	}
	for range 1000 {
		b.Request()
	}
	if n := takeAll(b); n != 200 {
		t.Errorf("%d retries for 1000 requests, not a fifth", n)
	}
	c.pass(9 * time.Second)
	if n := takeAll(b); n != 0 {
		t.Errorf("%d retries more within the ten seconds", n)
	}
	c.pass(time.Second)
	if n := takeAll(b); n != 30 {
		t.Errorf("%d retries when all else is forgotten, not 30", n)
	}
	c.pass(-time.Hour)
	if b.Take() {
		t.Error("a clock that went back gave credit")
	}
}

// TestBudgetSlides: in a storm in which every attempt fails, ten seconds see at most a fifth more attempts
// than requests, and the floor.
func TestBudgetSlides(t *testing.T) {
	c := newClock()
	b := NewBudget(c.now)
	var perSecond []int
	const rate = 500
	for range 60 {
		n := 0
		for range rate {
			b.Request()
			for range 2 {
				if b.Take() {
					n++
				}
			}
		}
		perSecond = append(perSecond, n)
		c.pass(time.Second)
	}
	for i := 10; i < len(perSecond); i++ {
		sum := 0
		for _, n := range perSecond[i-10 : i] {
			sum += n
		}
		if most := rate*10/5 + 30; sum > most || i > 20 && sum < most-rate {
			t.Errorf("seconds %d to %d: %d retries; there may be %d", i-10, i, sum, most)
		}
	}
}

func TestBudgetTogether(t *testing.T) {
	b := NewBudget(newClock().now)
	for range 500 {
		b.Request()
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	sum := 0
	for range 8 {
		wg.Go(func() {
			n := takeAll(b)
			mu.Lock()
			sum += n
			mu.Unlock()
		})
	}
	wg.Wait()
	if sum != 130 {
		t.Errorf("%d retries, not 130", sum)
	}
}

func TestBackoff(t *testing.T) {
	for n, most := range []time.Duration{25, 50, 100, 200, 250, 250} {
		most *= time.Millisecond
		if got := Backoff(n, 0.999999); got > most || got < most*99/100 {
			t.Errorf("retry %d: at most %v, not %v", n, got, most)
		}
		if got := Backoff(n, 0); got != 0 {
			t.Errorf("retry %d: at least %v, not 0", n, got)
		}
	}
	if got := Backoff(1<<40, 0.999999); got > 250*time.Millisecond {
		t.Errorf("a retry of any number waits %v", got)
	}
}

func TestSuspects(t *testing.T) {
	c := newClock()
	s := NewSuspects(c.now)
	other := func(peer string, want bool) {
		t.Helper()
		if got := s.Other("GET", "/r", peer); got != want {
			t.Errorf("another one than %q was brought down: %v, not %v", peer, got, want)
		}
	}
	other("a", false)
	s.Blame("GET", "/r", "a")
	other("a", false) // the first time counts for nobody but others
	other("b", true)
	if s.Other("POST", "/r", "b") || s.Other("GET", "/s", "b") {
		t.Error("another method or route is blamed")
	}
	c.pass(10 * time.Second)
	s.Blame("GET", "/r", "b")
	s.Blame("GET", "/r", "b")
	other("a", true)
	other("b", true)
	other("c", true)
	c.pass(20 * time.Second) // what a had is forgotten
	other("b", false)
	other("a", true)
	c.pass(10 * time.Second)
	other("a", false)
}

func TestSuspectsAreBounded(t *testing.T) {
	c := newClock()
	s := NewSuspects(c.now)
	for i := range 3 * maxSuspects {
		s.Blame("GET", string(rune('a'+i%26))+time.Duration(i).String(), "p")
		if i == maxSuspects-1 {
			c.pass(time.Minute)
		}
		if len(s.kinds) > maxSuspects {
			t.Fatalf("%d are remembered", len(s.kinds))
		}
	}
	s.Blame("GET", "/last", "p")
	if !s.Other("GET", "/last", "q") {
		t.Error("the newest was forgotten for older ones")
	}
}
