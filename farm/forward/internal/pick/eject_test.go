package pick

import (
	"testing"
	"time"
)

func TestFiveInARowEject(t *testing.T) {
	k := newKit(t, 4)
	for range 10 {
		for range badRow - 1 {
			k.finish(0, Bad, time.Second)
		}
		k.finish(0, Good, time.Millisecond)
	}
	k.pass(2 * time.Second)
	if p, _ := k.Status(); p[0].Ejected != 0 {
		t.Fatalf("ejected with answers in between: %+v", p[0])
	}
	k.eject(0)
	k.pass(shunTime)
	k.only(Want{Safe: true}, 1, 2, 3)
	k.only(Want{Safe: true, Tried: k.peers[1:]}, 0) // better than nobody
}

// TestHalfOpen: after its time a peer gets one request; what becomes of that decides.
func TestHalfOpen(t *testing.T) {
	k := newKit(t, 4)
	var told []time.Duration
	k.Told = func(p *Peer, out time.Duration) { told = append(told, out) }
	for n := 1; n <= 12; n++ {
		if n == 1 {
			k.eject(0)
		}
		want := min(time.Duration(n)*ejectTime, ejectMost)
		p, _ := k.Status()
		if p[0].Ejected != want {
			t.Fatalf("ejection %d lasts %v, not %v", n, p[0].Ejected, want)
		}
		k.pass(want - 1)
		k.only(Want{Safe: true}, 1, 2, 3)
		k.pass(1)
		k.only(Want{}, 1, 2, 3) // what may not be done twice is no probe
		probe := k.probe(Want{Safe: true})
		k.only(Want{Safe: true}, 1, 2, 3) // one at a time
		probe.Done(Result{Outcome: Bad, Latency: time.Second})
	}
	k.pass(ejectMost + anyProbe)
	k.probe(Want{}).Done(Result{}) // its client has gone, so another may try
	k.probe(Want{}).Done(Result{Outcome: Good, Latency: time.Millisecond})
	if n := k.picks(4000, Want{})[0]; n < 60 || n > 240 {
		t.Errorf("a recovered peer has %d of 4000 at once", n)
	}
	if len(told) < 13 || told[0] != ejectTime || told[1] != 2*ejectTime || told[len(told)-1] != 0 {
		t.Errorf("told of ejections for %v", told)
	}
	k.pass(rampTime)
	even(t, k.picks(4000, Want{})[:4])
}

// probe picks until a peer that was ejected gets a request.
func (k *kit) probe(w Want) *Peer {
	k.t.Helper()
	for range 1000 {
		p := k.Pick(w)
		if p.ejected.Load() != 0 {
			return p
		}
		p.Done(Result{})
	}
	k.t.Fatal("the peer gets no probe")
	return nil
}

// TestProbeByStream: a stream shows that a peer is well when it begins, not when it ends.
func TestProbeByStream(t *testing.T) {
	k := newKit(t, 2)
	k.eject(0)
	k.pass(ejectTime)
	p := k.probe(Want{Safe: true})
	p.Heard()
	if st, _ := k.Status(); st[0].Probing {
		t.Error("a peer that answers is not well")
	}
	p.Done(Result{Outcome: Good})
}

// TestForgiveness: a peer that is well for long is ejected for a short time again.
func TestForgiveness(t *testing.T) {
	k := newKit(t, 2)
	for range 5 {
		k.eject(0)
		k.pass(ejectMost)
		k.probe(Want{Safe: true}).Done(Result{Outcome: Good, Latency: time.Millisecond})
	}
	k.traffic(10, 5*time.Minute, func(int, int) (time.Duration, Outcome) { return time.Millisecond, Good })
	k.eject(0)
	if p, _ := k.Status(); p[0].Ejected != ejectTime {
		t.Errorf("after minutes of health the ejection lasts %v", p[0].Ejected)
	}
}

// TestAtMostHalf: however many fail, half of the peers stay.
func TestAtMostHalf(t *testing.T) {
	for n := 1; n <= 9; n++ {
		k := newKit(t, n)
		for range 20 {
			for i := range k.peers {
				k.finish(i, Bad, time.Second)
			}
		}
		peers, panicking := k.Status()
		out := 0
		for _, p := range peers {
			if p.Ejected > 0 {
				out++
			}
		}
		if out != n/2 || panicking {
			t.Errorf("of %d, %d are ejected; panic: %v", n, out, panicking)
		}
	}
}

// TestPanic: where those that are well leave, the ejected are better than too few.
func TestPanic(t *testing.T) {
	k := newKit(t, 6)
	k.eject(0)
	k.pass(10 * time.Second)
	k.eject(1)
	k.eject(2)
	k.pass(shunTime)
	k.only(Want{}, 3, 4, 5)
	k.Offer(k.peers[:5])
	if _, panicking := k.Status(); !panicking {
		t.Fatal("3 of 5 are ejected, and all is well")
	}
	k.only(Want{}, 0, 1, 2, 3, 4)
	k.pass(19 * time.Second) // the first ejection is over
	if _, panicking := k.Status(); panicking {
		t.Fatal("the panic does not end with the first ejection")
	}
	k.only(Want{}, 3, 4)
	k.Offer(k.peers[:3])
	k.only(Want{}, 0, 1, 2)
}

// TestOutlier: who fails more often than the others is ejected; what all have is not held against anybody.
func TestOutlier(t *testing.T) {
	for _, c := range []struct {
		name         string
		peers        int
		mine, theirs int // of 100 that fail
		rate         int
		out          bool
	}{
		{"a third, of two", 2, 33, 1, 100, true},
		{"a third, of three", 3, 33, 1, 100, true},
		{"everything, of ten", 10, 100, 0, 200, true},
		{"as all", 3, 40, 40, 100, false},
		{"a little more", 3, 8, 1, 100, false},
		{"too few to tell", 3, 100, 0, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKit(t, c.peers)
			for range c.rate * 11 {
				for i := range k.peers {
					k.pass(time.Second / time.Duration(c.rate*c.peers))
					o, part := Good, c.theirs
					if i == 0 {
						part = c.mine
					}
					if k.rand()%100 < uint64(part) {
						o = Poor
					}
					k.finish(i, o, time.Millisecond)
				}
			}
			peers, _ := k.Status()
			if (peers[0].Ejected > 0) != c.out {
				t.Errorf("ejected: %v", peers[0].Ejected)
			}
			for _, p := range peers[1:] {
				if p.Ejected > 0 {
					t.Errorf("another one is ejected: %+v", p)
				}
			}
		})
	}
}

func TestStatus(t *testing.T) {
	k := newKit(t, 2)
	k.finish(0, Good, 20*time.Millisecond)
	k.peers[0].Report(7, 50)
	k.peers[1].SetDraining(true)
	p := k.Pick(Want{})
	peers, _ := k.Status()
	want := Status{ID: "0", Chosen: 1, InFlight: 1, Others: 7, Limit: 50, Latency: 20 * time.Millisecond, Share: 1}
	if p != k.peers[0] || peers[0] != want {
		t.Errorf("%+v, want %+v", peers[0], want)
	}
	if got := peers[1]; !got.Draining {
		t.Errorf("%+v", got)
	}
}
