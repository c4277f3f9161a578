package line

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// What an append may hold grows while answers come quickly, shrinks when they do not, and begins anew after
// one that never came.
func TestLimit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var l Line
		for want := LeastAppend; want < MostAppend; want *= 2 {
			if got := l.Limit(); got != want {
				t.Fatalf("limit %d, want %d", got, want)
			}
			l.Answered(want/4, 0) // it was not full, and says nothing
			l.Answered(want, quick)
		}
		l.Answered(MostAppend, quick)
		if got := l.Limit(); got != MostAppend {
			t.Errorf("limit %d, want %d", got, MostAppend)
		}
		l.Answered(MostAppend, slow)
		if got := l.Limit(); got != MostAppend {
			t.Errorf("limit %d after an answer that took %v, want %d", got, slow, MostAppend)
		}
		l.Answered(MostAppend, slow+1)
		if got := l.Limit(); got != MostAppend/2 {
			t.Errorf("limit %d after a slow answer, want %d", got, MostAppend/2)
		}
		l.Failed(MostAppend)
		if got := l.Limit(); got != LeastAppend {
			t.Errorf("limit %d after none, want %d", got, LeastAppend)
		}
	})
}

// The time of what is under way goes by the line, and doubles with each attempt that failed.
func TestAllow(t *testing.T) {
	var l Line
	unknown := l.Allow(64 << 10)
	if unknown != 4*time.Second {
		t.Errorf("over a line of which nothing is known: %v", unknown)
	}
	l.Answered(1<<20, 100*time.Millisecond)
	if got := l.Allow(1 << 20); got != 400*time.Millisecond {
		t.Errorf("over a fast line: %v", got)
	}
	l.Failed(1 << 20)
	for want := 2 * unknown; want <= mostDoubt*unknown; want *= 2 {
		if got := l.Allow(64 << 10); got != want {
			t.Errorf("after failures: %v, want %v", got, want)
		}
		l.Failed(100) // that the other end is gone says nothing of the line
		l.Failed(64 << 10)
	}
	if got := l.Allow(64 << 10); got != mostDoubt*unknown {
		t.Errorf("after many failures: %v", got)
	}
	l.Answered(64<<10, 64*time.Second)
	if got := l.Allow(64 << 10); got != 256*time.Second {
		t.Errorf("over a line of 1 KiB/s: %v", got)
	}
}

// The way there and back is as long as the shortest answer of late: others have waited for something. It is
// not known of a node that does not answer.
func TestRoundTrip(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const usual, waited, longer = 20 * time.Millisecond, 300 * time.Millisecond, 50 * time.Millisecond
		var l Line
		want := func(want time.Duration) {
			t.Helper()
			if got, known := l.RoundTrip(); got != want && known || known != (want > 0) {
				t.Errorf("%v, known %v; want %v", got, known, want)
			}
		}
		l.Heard()
		want(0)
		l.Beat(waited)
		want(waited)
		l.Beat(usual)
		for range trips / time.Second {
			l.Beat(waited)
			want(usual)
			time.Sleep(time.Second)
		}
		for range 2 * trips / time.Second { // over another way
			l.Beat(longer)
			time.Sleep(time.Second)
		}
		want(longer)
		time.Sleep(Silence)
		want(0)
		l.Beat(0) // nothing is that short
		want(1)
	})
}
