package once

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// A thousand wait for one lock on five nodes. They get it in the order of the log, each by one entry, and one
// wakes at a time. While nothing changes, nobody asks for anything because of them.
func TestWaiters(t *testing.T) {
	each := 200
	if race.Enabled {
		each = 40
	}
	inLab(t, 5, func(l *lab) {
		type place struct {
			owner  string
			ticket uint64
		}
		var queue, served []place
		watch := func(cmd []byte, a state.Answer) {
			if a.Code == state.Queued {
				owner, rest := textOf(cmd[1:])
				ticket := rest[0] // less than 128, or the first 7 bits of it
				n := uint64(ticket)
				if ticket > 127 {
					n = n&127 | uint64(rest[1])<<7
				}
				queue = append(queue, place{owner, n})
			}
		}
		l.change(func() { l.watch = watch })
		first := l.lock(l.nodes[0], "x")
		var wg sync.WaitGroup
		var mu sync.Mutex
		for i := range 5 * each {
			wg.Go(func() {
				time.Sleep(time.Duration(i*7919%1000) * time.Millisecond)
				lease := l.lock(l.nodes[i%5], "x")
				mu.Lock()
				served = append(served, place{lease.o.id, lease.ticket})
				mu.Unlock()
				if err := lease.Unlock(); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(10 * time.Second)
		if locks := l.truth.Locks(); len(locks) != 1 || locks[0].Waiting != 5*each {
			t.Fatalf("%+v", locks)
		}
		asked, barriers, looks := l.counts()
		time.Sleep(time.Minute)
		askedLater, barriersLater, looksLater := l.counts()
		t.Logf("in a minute of waiting: %d entries, %d barriers, %d looks", askedLater-asked, barriersLater-barriers, looksLater-looks)
		if askedLater-asked > 5*2*2*5 || barriersLater-barriers > 110 || looksLater-looks > 5*500 {
			t.Error("that is polling")
		}
		asked, barriers, looks = l.counts()
		began := time.Now()
		first.Unlock()
		wg.Wait()
		took := time.Since(began)
		askedLater, barriersLater, looksLater = l.counts()
		n := float64(5 * each)
		t.Logf("per hand-over: %.2f entries, %.2f barriers, %.1f looks, %v", float64(askedLater-asked)/n,
			float64(barriersLater-barriers)/n, float64(looksLater-looks)/n, took/time.Duration(n))
		if askedLater-asked > int(n*1.05)+10 || barriersLater-barriers > int(n*1.05)+20 || looksLater-looks > int64(n*10) {
			t.Error("a hand-over costs more than an entry and the look of one who waits")
		}
		l.change(func() {
			if !slices.Equal(served, queue) {
				t.Error("not in the order of the log")
			}
		})
	})
}

// counts returns how many entries, barriers, and looks at their copies by all nodes there were.
func (l *lab) counts() (proposals, barriers int, looks int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.nodes {
		looks += n.looks.Load()
	}
	return l.proposals, l.barriers, looks
}
