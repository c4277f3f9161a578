package cluster

import (
	"math/rand/v2"
	"os"
	"time"
)

// strains are what makes a farm slow and breaks nothing: thin lines, and state machines that take their time.
// They have a source of chance of their own, so that the faults of a seed are the same whatever strains there
// are.
type strains struct {
	off      bool // none
	rnd      *rand.Rand
	snapshot int64 // SnapshotBytes of all nodes; 0 = the default, so that there are hardly any
}

func newStrains(seed uint64) *strains {
	s := &strains{rnd: rand.New(rand.NewPCG(seed, 3))}
	s.off = os.Getenv("WEBFARM_BESIDE") != "" // what is looked for then needs a farm that is fast
	if !s.off && s.rnd.IntN(4) > 0 {
		s.snapshot = 2<<10 + s.rnd.Int64N(30<<10)
	}
	return s
}

// strain makes one thing slow, now and then.
func (s *simulation) strain() {
	if s.strains.off {
		return
	}
	rnd := s.strains.rnd
	between := func(low, high time.Duration) time.Duration {
		return low +
			time.Duration(rnd.Int64N(int64(high-low)))
	}
	a, what := s.cast[rnd.IntN(len(s.cast))], rnd.IntN(9)
	switch what {
	case 0:
		rate := 2<<10 + rnd.IntN(62<<10)
		s.log("the lines of %s carry %d bytes a second", a.conf.Name, rate)
		s.limit([]*actor{a}, rate)
	case 1:
		rate := 16<<10 + rnd.IntN(240<<10)
		s.log("all lines carry %d bytes a second", rate)
		s.limit(s.cast, rate)
	case 2, 3:
		d := between(time.Millisecond, time.Second)
		s.log("%s takes %v to apply a command", a.conf.Name, d)
		a.slow.apply.Store(int64(d))
	case 4:
		d := between(time.Millisecond, 100*time.Millisecond)
		s.log("all take %v to apply a command", d)
		for _, x := range s.cast {
			x.slow.apply.Store(int64(d))
		}
	case 5:
		d := between(100*time.Millisecond, 20*time.Second)
		s.log("all take %v to restore a snapshot", d)
		for _, x := range s.cast {
			x.slow.restore.Store(int64(d))
		}
	}
}

// limit has the lines of some machines, to and from all others, carry so many bytes a second; 0 is any
// number.
func (s *simulation) limit(of []*actor, bytesPerSecond int) {
	for _, a := range of {
		for _, b := range s.cast {
			if a != b {
				s.net.Limit(a.ip, b.ip, bytesPerSecond)
				s.net.Limit(b.ip, a.ip, bytesPerSecond)
			}
		}
	}
}

// relax ends all strains.
func (s *simulation) relax() {
	s.limit(s.cast, 0)
	for _, a := range s.cast {
		a.slow.apply.Store(0)
		a.slow.restore.Store(0)
	}
}
