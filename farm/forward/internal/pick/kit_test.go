package pick

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// kit is a Set in a time that only tests let pass, with peers "0", "1" and so on, past the time in which all
// are new.
type kit struct {
	*Set
	t     testing.TB
	past  atomic.Int64
	peers []*Peer
}

func newKit(t testing.TB, n int) *kit {
	k := &kit{t: t}
	start := time.Unix(1_800_000_000, 0)
	r := rand.New(rand.NewPCG(1, 2))
	k.Set = NewSet(func() time.Time { return start.Add(time.Duration(k.past.Load())) }, r.Uint64)
	for i := range n {
		k.peers = append(k.peers, k.New(fmt.Sprint(i), i))
	}
	k.Offer(slices.Clone(k.peers))
	k.pass(time.Minute)
	return k
}

func (k *kit) pass(d time.Duration) { k.past.Add(int64(d)) }

func (k *kit) index(p *Peer) int { return slices.Index(k.peers, p) }

// finish is a request that went straight to peer i, whoever would have been picked.
func (k *kit) finish(i int, o Outcome, d time.Duration) {
	k.peers[i].flight.Add(1)
	k.peers[i].Done(Result{Outcome: o, Latency: d})
}

// eject has peer i ejected.
func (k *kit) eject(i int) {
	k.t.Helper()
	for range badRow {
		k.finish(i, Bad, time.Second)
	}
	if k.peers[i].ejected.Load() == 0 {
		k.t.Fatalf("peer %d is not ejected after %d failures", i, badRow)
	}
}

// picks picks n times, one after the other, and returns how often each peer was; the last is for none.
func (k *kit) picks(n int, w Want) []int {
	counts := make([]int, len(k.peers)+1)
	for range n {
		p := k.Pick(w)
		if p == nil {
			counts[len(k.peers)]++
			continue
		}
		counts[k.index(p)]++
		p.Done(Result{})
	}
	return counts
}

// only fails unless exactly these peers are picked.
func (k *kit) only(w Want, peers ...int) {
	k.t.Helper()
	counts := k.picks(40*len(k.peers), w)
	for i, n := range counts[:len(k.peers)] {
		if (n > 0) != slices.Contains(peers, i) {
			k.t.Fatalf("picked %v, not just %v", counts, peers)
		}
	}
	if (counts[len(k.peers)] > 0) != (len(peers) == 0) {
		k.t.Fatalf("picked %v, last for nobody", counts)
	}
}

// traffic has so many requests a second come for a time, evenly. serve says what a peer does with one, given
// how many it has.
func (k *kit) traffic(rate int, d time.Duration,
	serve func(i, running int) (time.Duration, Outcome)) (counts []int) {
	type end struct {
		at, latency time.Duration
		i           int
		o           Outcome
	}
	counts = make([]int, len(k.peers))
	running := make([]int, len(k.peers))
	var ends []end
	finish := func(until time.Duration) {
		for len(ends) > 0 && ends[0].at <= until {
			e := ends[0]
			ends = ends[1:]
			k.past.Store(int64(e.at))
			running[e.i]--
			k.peers[e.i].Done(Result{Outcome: e.o, Latency: e.latency})
		}
	}
	start := time.Duration(k.past.Load())
	for n := range int(d.Seconds() * float64(rate)) {
		now := start + time.Duration(n)*time.Second/time.Duration(rate)
		finish(now)
		k.past.Store(int64(now))
		p := k.Pick(Want{Safe: true})
		if p == nil {
			continue
		}
		i := k.index(p)
		counts[i]++
		running[i]++
		latency, o := serve(i, running[i])
		e := end{now + latency, latency, i, o}
		at, _ := slices.BinarySearchFunc(ends, e, func(a, b end) int { return int(a.at - b.at) })
		ends = slices.Insert(ends, at, e)
	}
	finish(start + d + time.Hour)
	k.past.Store(int64(start + d))
	return counts
}
