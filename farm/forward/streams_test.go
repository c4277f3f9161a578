package forward

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// told returns how many of the streams have been told to go.
func told(all []*stream) (n int) {
	for _, st := range all {
		if st.ctx.Err() != nil {
			n++
		}
	}
	return n
}

func entered(s *streams, n int) (all []*stream) {
	for range n {
		all = append(all, s.enter())
	}
	return all
}

// Many streams are told to go evenly over the whole time, few as fast as a hundred in a second, all at once
// without any time.
func TestStreams_Spread(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			n, ms int // of the limit
			want  int // ms until the last one
		}{{4000, 8000, 8000}, {50, 8000, 500}, {1, 8000, 10}, {300, 0, 0}, {0, 8000, 0}} {
			var s streams
			all := entered(&s, c.n)
			sp := s.drain(time.Duration(c.ms)*time.Millisecond, nil, nil)
			go sp.tellAll()
			for tenth := 1; tenth <= 10; tenth++ {
				time.Sleep(time.Duration(c.want) * time.Millisecond / 10)
				synctest.Wait()
				if got, want := told(all), c.n*tenth/10; got < want-1 || got > want+1 && c.want > 0 {
					t.Errorf("%d streams: %d told after %d/10 of %d ms", c.n, got, tenth, c.want)
				}
			}
			if told(all) != c.n {
				t.Errorf("%d of %d told at the end", told(all), c.n)
			}
			for _, st := range all {
				if context.Cause(st.ctx) != ErrDraining {
					t.Fatalf("cause %v", context.Cause(st.ctx))
				}
			}
		}
	})
}

// The order has nothing to do with who came first.
func TestStreams_RandomOrder(t *testing.T) {
	var s streams
	all := entered(&s, 1000)
	list := s.drain(time.Second, nil, nil).list
	same := 0
	for i := range list {
		if list[i] == all[i] || list[i] == all[len(all)-1-i] {
			same++
		}
	}
	if len(list) != len(all) || same > 50 {
		t.Errorf("%d streams, %d of them where they were", len(list), same)
	}
}

// A drain that is taken back tells nobody any more, and the next one tells those that are left.
func TestStreams_Undone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var s streams
		all := entered(&s, 1000)
		undone := make(chan struct{})
		go s.drain(10*time.Second, undone, nil).tellAll()
		time.Sleep(5 * time.Second)
		late := s.enter()
		close(undone)
		s.resume()
		all = append(all, late, s.enter())
		time.Sleep(time.Minute)
		if n := told(all); n < 499 || n > 501 {
			t.Errorf("%d told, want half", n)
		}
		go s.drain(10*time.Second, nil, nil).tellAll()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := told(all); n != len(all) {
			t.Errorf("%d of %d told by the second drain", n, len(all))
		}
	})
}

// Who comes during the drain is told before its end, and afterwards at once.
func TestStreams_Late(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var s streams
		go s.drain(10*time.Second, nil, nil).tellAll()
		time.Sleep(2 * time.Second)
		all := entered(&s, 100)
		if n := told(all); n != 0 {
			t.Errorf("%d told at once", n)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := told(all); n < 20 || n > 80 {
			t.Errorf("%d of 100 told half way", n)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := told(all); n != 100 {
			t.Errorf("%d of 100 told at the end", n)
		}
		if n := told(entered(&s, 5)); n != 5 {
			t.Errorf("%d of 5 told afterwards", n)
		}
	})
}

// A stream is cut when its grace is over, whether it was told before it was armed or after.
func TestStreams_Cut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var s streams
		cuts := make(chan time.Duration, 9)
		began := time.Now()
		cut := func() { cuts <- time.Since(began) }
		s.arm(s.enter(), cut, 2*time.Second)
		before := s.enter()
		time.Sleep(time.Second)
		s.drain(0, nil, nil).tellAll()
		s.arm(before, cut, time.Second)
		s.dismiss(before) // again: nothing
		time.Sleep(time.Minute)
		synctest.Wait()
		close(cuts)
		var got []time.Duration
		for d := range cuts {
			got = append(got, d)
		}
		if !slices.Equal(got, []time.Duration{2 * time.Second, 3 * time.Second}) {
			t.Errorf("cut after %v", got)
		}
	})
}

func TestStreams_Wait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var s streams
		all := entered(&s, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n := s.wait(ctx); n != 3 {
			t.Errorf("%d, want 3", n)
		}
		for i, st := range all {
			time.AfterFunc(time.Duration(i)*time.Second, func() { s.leave(st); s.leave(st) })
		}
		began := time.Now()
		if n := s.wait(t.Context()); n != 0 || time.Since(began) != 2*time.Second {
			t.Errorf("%d after %v", n, time.Since(began))
		}
	})
}
