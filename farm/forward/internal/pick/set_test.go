package pick

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// even fails unless all have got about the same.
func even(t *testing.T, counts []int) {
	t.Helper()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	for i, n := range counts {
		if mean := sum / len(counts); n < mean*8/10 || n > mean*12/10 {
			t.Fatalf("peer %d has got %d of %v", i, n, counts)
		}
	}
}

func TestPickIsEven(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 9, 50} {
		k := newKit(t, n)
		even(t, k.picks(2000*n, Want{})[:n])
	}
	// Also where most of many cannot be chosen.
	k := newKit(t, 40)
	for i := range 30 {
		k.peers[i].Avoid(time.Hour)
	}
	counts := k.picks(20_000, Want{})
	even(t, counts[30:40])
	for i, n := range counts[:30] {
		if n > 0 {
			t.Fatalf("peer %d, which is left alone, has got %d", i, n)
		}
	}
}

func TestPickNobody(t *testing.T) {
	k := newKit(t, 3)
	if p := newKit(t, 0).Pick(Want{}); p != nil {
		t.Errorf("of none, %s was picked", p.id)
	}
	k.only(Want{Tried: k.peers}, []int{}...)
	k.only(Want{Tried: k.peers[:2]}, 2)
	k.only(Want{Tried: k.peers[:1]}, 1, 2)
	k.peers[2].SetDraining(true)
	k.only(Want{Tried: k.peers[:2]}, []int{}...)
	k.peers[2].SetDraining(false)
	k.only(Want{Tried: k.peers[:2]}, 2)
}

func TestOthers(t *testing.T) {
	k := newKit(t, 2)
	if !k.Others(nil) || !k.Others(k.peers[:1]) || k.Others(k.peers) {
		t.Error("others are not those that were not tried")
	}
	k.peers[1].SetDraining(true)
	if k.Others(k.peers[:1]) {
		t.Error("one that drains is an other")
	}
}

func TestPickLessInFlight(t *testing.T) {
	k := newKit(t, 2)
	for range 5 {
		k.peers[0].flight.Add(1)
	}
	k.only(Want{}, 1)
	k.peers[0].flight.Store(0)
	k.peers[1].Report(4, 0) // others' requests
	k.only(Want{}, 0)
	k.pass(reportFresh)
	k.only(Want{}, 0, 1)
}

func TestPickCountsBeforeSending(t *testing.T) {
	k := newKit(t, 4)
	for range 40 {
		k.Pick(Want{})
	}
	for i, p := range k.peers {
		if n := p.flight.Load(); n < 9 || n > 11 {
			t.Errorf("peer %d has %d of 40 at once", i, n)
		}
	}
}

func TestFullPeerIsLast(t *testing.T) {
	k := newKit(t, 3)
	k.peers[0].Report(10, 10)
	k.peers[1].Report(8, 10)
	k.only(Want{Idle: true}, 2)
	if n := k.picks(100, Want{}); n[0] > 0 {
		t.Errorf("a full one was picked: %v", n)
	}
	k.only(Want{Tried: k.peers[1:]}, 0)
	k.only(Want{Tried: k.peers[1:], Idle: true}, []int{}...)
}

func TestRefusedIsLeftAlone(t *testing.T) {
	k := newKit(t, 2)
	k.finish(0, Refused, 0)
	k.only(Want{}, 1)
	k.only(Want{Tried: k.peers[1:]}, 0) // better than nobody
	k.pass(shunTime)
	k.only(Want{}, 0, 1)
	k.peers[0].flight.Add(1)
	k.peers[0].Done(Result{Outcome: Refused, RetryAfter: 5 * time.Second})
	k.pass(4 * time.Second)
	k.only(Want{}, 1)
	k.peers[0].flight.Add(1)
	k.peers[0].Done(Result{Outcome: Refused, RetryAfter: time.Hour})
	k.pass(maxShun)
	k.only(Want{}, 0, 1)
	if p, _ := k.Status(); p[0].Ejected > 0 || p[0].Probing {
		t.Errorf("refusals were held against a peer: %+v", p[0])
	}
}

// TestSlowPeer: one that is a hundred times slower gets next to nothing, and is asked again when it is well.
func TestSlowPeer(t *testing.T) {
	k := newKit(t, 3)
	slow := true
	serve := func(i, running int) (time.Duration, Outcome) {
		if i == 0 && slow {
			return time.Second, Good
		}
		return 10 * time.Millisecond, Good
	}
	k.traffic(500, 10*time.Second, serve)
	if n := k.traffic(500, 20*time.Second, serve); n[0] > 100 {
		t.Errorf("the slow one has got %v of 10000", n)
	}
	slow = false
	k.traffic(500, 40*time.Second, serve)
	even(t, k.traffic(500, 20*time.Second, serve))
}

// TestFastFailure: one that fails at once attracts nothing, whether it is ejected for it or not.
func TestFastFailure(t *testing.T) {
	for _, o := range []Outcome{Poor, Bad} {
		for _, n := range []int{2, 3, 10} {
			k := newKit(t, n)
			counts := k.traffic(1000, 30*time.Second, func(i, running int) (time.Duration, Outcome) {
				if i == 0 {
					return time.Millisecond / 10, o
				}
				return 5 * time.Millisecond * time.Duration(1+running/10), Good
			})
			if most := 30_000 / 100; counts[0] > most {
				t.Errorf("of %d, outcome %d: the failing one has got %v", n, o, counts)
			}
		}
	}
}

// TestFewErrorsEverywhere: errors of which all have a few turn nobody away.
func TestFewErrorsEverywhere(t *testing.T) {
	k := newKit(t, 3)
	n := 0
	counts := k.traffic(500, time.Minute, func(i, running int) (time.Duration, Outcome) {
		if n++; n%97 == 0 {
			return time.Millisecond, Poor
		}
		return 20 * time.Millisecond, Good
	})
	even(t, counts)
}

func TestSlowStart(t *testing.T) {
	k := newKit(t, 3)
	fresh := k.New("3", nil)
	k.peers = append(k.peers, fresh)
	k.Offer(k.peers)
	part := func() int { return k.picks(4000, Want{})[3] }
	from := part()
	if from < 60 || from > 240 {
		t.Errorf("a new peer has %d of 4000 at once, not about a tenth of its share", from)
	}
	k.pass(rampTime / 2)
	half := part()
	if half < 400 || half > 700 {
		t.Errorf("a new peer has %d of 4000 halfway, not about 55 of 100 of its share", half)
	}
	k.pass(rampTime / 2)
	even(t, k.picks(4000, Want{})[:4])

	fresh.SetDraining(true) // and one that has recovered
	k.pass(time.Minute)
	fresh.SetDraining(false)
	if n := part(); n < 60 || n > 240 {
		t.Errorf("a recovered peer has %d of 4000 at once", n)
	}
}

func TestNoSlowStartWhereAllAreNew(t *testing.T) {
	k := newKit(t, 4)
	k.past.Store(0) // this node has begun
	k.Offer(k.peers[:1:1])
	k.pass(time.Second)
	k.Offer(k.peers)
	even(t, k.picks(4000, Want{})[:4])

	k = newKit(t, 0)
	for range 4 { // all came at once, later
		k.peers = append(k.peers, k.New("new", nil))
	}
	k.Offer(k.peers)
	even(t, k.picks(4000, Want{})[:4])
}

// TestTogether uses a Set from many goroutines; the counts are right at the end.
func TestTogether(t *testing.T) {
	k := newKit(t, 6)
	k.rand = NewSet(time.Now, nil).rand
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				p := k.Pick(Want{Safe: i%2 == 0, Idle: i%7 == 0})
				if p == nil {
					continue
				}
				p.Report(i%20, 100)
				left := i%5 == 0
				if left {
					p.Leave()
				}
				p.Done(Result{Outcome: Outcome((i + g) % 5), Latency: time.Duration(i) * time.Microsecond, Left: left})
				switch i % 100 {
				case 0:
					k.pass(time.Second)
				case 50:
					k.Offer(k.peers[:3+i%4])
				case 70:
					k.peers[g%6].SetDraining(i%200 == 70)
				case 90:
					k.Status()
				}
			}
		})
	}
	wg.Wait()
	for i, p := range k.peers {
		if n := p.flight.Load(); n != 0 {
			t.Errorf("peer %d has %d in flight at the end", i, n)
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	for _, n := range []int{2, 20} {
		k := newKit(t, n)
		tried := k.peers[:1]
		if a := ci.Allocs(100, 0, func() {
			p := k.Pick(Want{Tried: tried})
			p.Report(3, 100)
			p.Done(Result{Outcome: Good, Latency: time.Millisecond})
		}); a != 0 {
			t.Errorf("of %d: %v allocations", n, a)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{2, 50} {
		b.Run(fmt.Sprint("of", n), func(b *testing.B) {
			s := NewSet(time.Now, nil)
			var peers []*Peer
			for range n {
				peers = append(peers, s.New("", nil))
			}
			s.Offer(peers)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					s.Pick(Want{}).Done(Result{Outcome: Good, Latency: time.Millisecond})
				}
			})
		})
	}
}
