package pick

import (
	"math"
	"slices"
	"time"
)

const (
	badRow     = 5                // Bad ones in a row eject
	ejectTime  = 30 * time.Second // times the number of ejections
	ejectMost  = 5 * time.Minute
	lookEvery  = 10 * time.Second // outliers are looked for, and an ejection is forgiven for each that was well
	leastSeen  = 20               // requests that say something of a peer, and of the others
	anyProbe   = 10 * time.Second // after which a request that may not be done twice is a probe, too
	worseBy    = 0.1              // a part of failures that much greater than the others' is an outlier
	deviations = 4                // and beyond chance
)

// recover ends an ejection: the peer is well.
func (p *Peer) recover(now int64) {
	if p.ejected.Load() == 0 || now < p.ejected.Load() {
		return // an answer from before; or it came in a panic, and proves nothing yet
	}
	p.set.mu.Lock()
	out := p.ejected.Swap(0) != 0
	if out {
		p.rise(now)
		p.mu.Lock()
		p.row, p.forgiven = 0, now
		p.mu.Unlock()
	}
	p.probe.Store(false)
	p.set.alarmLocked(now)
	p.set.mu.Unlock()
	if out && p.set.Told != nil {
		p.set.Told(p, 0)
	}
}

// count takes down one outcome, and ejects the peer if it was one too many.
func (p *Peer) count(now int64, o Outcome) {
	p.mu.Lock()
	p.all++
	if o == Good {
		p.good++
	}
	if o == Bad {
		p.row++
	} else {
		p.row = 0
	}
	tooMany := p.row >= badRow
	p.mu.Unlock()
	probed := o != Good && p.ejected.Load() != 0 && p.probe.Load()
	if tooMany || probed {
		p.set.eject(p, now)
	}
}

// eject takes a peer out for a time, if half of the peers stay.
func (s *Set) eject(p *Peer, now int64) {
	s.mu.Lock()
	d := s.ejectLocked(p, now)
	p.probe.Store(false)
	s.mu.Unlock()
	if d > 0 && s.Told != nil {
		s.Told(p, d)
	}
}

// ejectLocked returns for how long the peer is out, 0 if it is not, or was already.
func (s *Set) ejectLocked(p *Peer, now int64) time.Duration {
	offered := *s.offered.Load()
	if until := p.ejected.Load(); until == 0 {
		if out := s.outLocked(offered); !slices.Contains(offered, p) || 2*(out+1) > len(offered) {
			return 0
		}
	} else if now < until {
		return 0
	}
	p.mu.Lock()
	p.ejections++
	p.row, p.forgiven = 0, now
	d := min(time.Duration(p.ejections)*ejectTime, ejectMost)
	p.mu.Unlock()
	p.ejected.Store(now + int64(d))
	s.alarmLocked(now)
	return d
}

// outLocked returns how many are ejected, those that have to show that they are well among them.
func (s *Set) outLocked(peers []*Peer) (n int) {
	for _, p := range peers {
		if p.ejected.Load() != 0 {
			n++
		}
	}
	return n
}

// alarmLocked says until when ejections count for nothing: more than half of the peers that are left would be
// out.
func (s *Set) alarmLocked(now int64) {
	offered := *s.offered.Load()
	var until []int64
	for _, p := range offered {
		if u := p.ejected.Load(); u > now {
			until = append(until, u)
		}
	}
	excess := len(until) - len(offered)/2
	if excess <= 0 {
		s.panicking.Store(0)
		return
	}
	slices.Sort(until)
	s.panicking.Store(until[excess-1])
}

// ejectOutliers looks for peers that fail more often than the others, every ten seconds.
func (s *Set) ejectOutliers(now int64) {
	before := s.looked.Load()
	if now-before < int64(lookEvery) || !s.looked.CompareAndSwap(before, now) {
		return
	}
	offered := *s.offered.Load()
	good, all := make([]int, len(offered)), make([]int, len(offered))
	sumGood, sumAll := 0, 0
	for i, p := range offered {
		good[i], all[i] = p.interval(now)
		sumGood += good[i]
		sumAll += all[i]
	}
	for i, p := range offered {
		if outlier(all[i]-good[i], all[i], sumAll-all[i]-(sumGood-good[i]), sumAll-all[i]) {
			s.eject(p, now)
		}
	}
}

// interval returns the counts since it was called before, and begins new ones. An ejection of a peer that was
// well for as long as it lasted is forgiven.
func (p *Peer) interval(now int64) (good, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	good, all = p.good, p.all
	p.good, p.all = 0, 0
	if p.ejections > 0 && p.ejected.Load() == 0 && now-p.forgiven >= int64(ejectTime) {
		p.ejections--
		p.forgiven = now
	}
	return good, all
}

// outlier reports whether failures of all are more than the others' and chance explain. It works with two
// peers as with twenty, which a distance in standard deviations of the peers' rates does not: of three, none
// can be further than 1.15 from the mean.
func outlier(failed, all, othersFailed, othersAll int) bool {
	if all < leastSeen || othersAll < leastSeen {
		return false
	}
	mine, theirs := float64(failed)/float64(all), float64(othersFailed)/float64(othersAll)
	pooled := float64(failed+othersFailed) / float64(all+othersAll)
	chance := math.Sqrt(pooled * (1 - pooled) * (1/float64(all) + 1/float64(othersAll)))
	return mine-theirs > max(worseBy, deviations*chance)
}
