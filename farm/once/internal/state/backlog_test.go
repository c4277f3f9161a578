package state

import (
	"testing"
	"time"
)

// Of more times than may wait the newest are run, whether they come at once or one after the other. Those
// that were dropped are counted.
func TestFullBacklog(t *testing.T) {
	for name, claims := range map[string][]int{
		"one by one":              {1, 1, 1},
		"half, and then too many": {MaxBacklog / 2, 9 * MaxBacklog / 10},
		"full, and then full":     {MaxBacklog, MaxBacklog},
		"full, and then a few":    {MaxBacklog, 3, 1},
	} {
		r := newRig(t)
		r.all(Register{"a#1", "a"}, Offer{"a#1", "j", minutely}, Plan{"a#1", "j", at(time.Minute)})
		claimed := 0
		r.now = epoch.Add(3000 * time.Minute)
		for _, n := range claims {
			c := Claim{Owner: "a#1", Job: "j", Expect: at(time.Duration(claimed+1) * time.Minute)}
			for range n {
				claimed++
				c.Ticks = append(c.Ticks, at(time.Duration(claimed)*time.Minute))
			}
			c.Next = at(time.Duration(claimed+1) * time.Minute)
			r.all(c)
		}
		j, _ := r.Job("j")
		want := min(claimed-1, MaxBacklog) // the first was begun
		if j.Backlog != want || j.Counts.Skipped != uint64(claimed-1-want) || j.Counts.Missed != 0 {
			t.Errorf("%s: %d wait, of %d: %+v", name, j.Backlog, claimed, j.Counts)
		}
		var last int64
		for range want {
			run, _ := r.Job("j")
			r.all(Finish{Owner: "a#1", Job: "j", Fence: run.Runs[0].Fence})
			a := r.do(Start{"a#1", "j"})
			if a.Code != Granted || a.At <= last {
				t.Fatalf("%s: %+v after %d", name, a, last)
			}
			last = a.At
		}
		if newest := at(time.Duration(claimed) * time.Minute); last != newest {
			t.Errorf("%s: the last that is run is of %v before the newest", name,
				time.Duration(newest-last)*time.Millisecond)
		}
	}
}
