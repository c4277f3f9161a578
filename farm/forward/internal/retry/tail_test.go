package retry

import (
	"testing"
	"time"
)

// A limit is three times what 99 of a hundred answers take, within bounds; too few answers tell nothing.
func TestTail(t *testing.T) {
	var nobody *Tail
	nobody.Add(time.Second)
	if l := nobody.Limit(); l != 0 {
		t.Errorf("nobody's limit is %v", l)
	}
	for _, c := range []struct {
		answers, slow int
		usual, rare   time.Duration
		least, most   time.Duration
	}{
		{answers: 99, usual: time.Second},
		{answers: 100, usual: time.Second, least: 3 * time.Second, most: 3600 * time.Millisecond},
		{answers: 100, usual: time.Microsecond, least: leastTry, most: leastTry},
		{answers: 100, slow: 1, usual: time.Second, rare: 8 * time.Second, least: 3 * time.Second,
			most: 3600 * time.Millisecond},
		{answers: 100, slow: 2, usual: time.Second, rare: 8 * time.Second, least: 24 * time.Second,
			most: 29 * time.Second},
		{answers: 1e5, slow: 2000, usual: time.Second, rare: 8 * time.Second, least: 24 * time.Second,
			most: 29 * time.Second},
		{answers: 100, usual: 11 * time.Second}, // it would be more than 30 s
		{answers: 100, usual: time.Hour},
	} {
		var tail Tail
		for i := range c.answers {
			if c.slow > 0 && i%(c.answers/c.slow) == 0 {
				tail.Add(c.rare)
			} else {
				tail.Add(c.usual)
			}
		}
		if l := tail.Limit(); l < c.least || l > c.most {
			t.Errorf("%+v: %v", c, l)
		}
	}
}

// What was true once is forgotten: also that answers were quick, when all are given up since.
func TestTail_Changes(t *testing.T) {
	var tail Tail
	for range 10 * tailMost {
		tail.Add(10 * time.Millisecond)
	}
	for i := range 100 {
		tail.Add(4 * time.Second)
		if tail.Limit() >= 12*time.Second {
			t.Logf("after %d of them", i+1)
			return
		}
	}
	t.Errorf("limit %v", tail.Limit())
}
