package pick

import "time"

// Status is what is known of a peer at one moment, for people.
type Status struct {
	ID       string
	Chosen   uint64        // times
	InFlight int           // requests of this node
	Others   int           // requests of others, as the peer has last said
	Limit    int           // as the peer has last said; 0 = none
	Latency  time.Duration // until the head of an answer; 0 = not known
	Share    float64       // of what others in its place get: below 1 for one that is new or has recovered
	Shunned  time.Duration // it is left alone for so long
	Ejected  time.Duration // it is ejected for so long
	Probing  bool          // it was ejected, and has not shown yet that it is well
	Draining bool
	Down     bool
}

// Status returns what is known of the peers that may be chosen, and whether so many are ejected that it
// counts for nothing.
func (s *Set) Status() (peers []Status, panicking bool) {
	now := s.nanos()
	for _, p := range *s.offered.Load() {
		ejected := p.ejected.Load()
		peers = append(peers, Status{
			ID:       p.id,
			Chosen:   p.chosen.Load(),
			InFlight: int(p.flight.Load()),
			Others:   int(p.load(now)) - int(p.flight.Load()),
			Limit:    int(p.limit.Load()),
			Latency:  time.Duration(p.mean(now) * float64(time.Second)),
			Share:    p.share(now),
			Shunned:  time.Duration(max(p.shun.Load()-now, 0)),
			Ejected:  time.Duration(max(ejected-now, 0)),
			Probing:  ejected != 0 && ejected <= now,
			Draining: Bar(p.barred.Load())&Draining != 0,
			Down:     Bar(p.barred.Load())&Down != 0,
		})
	}
	return peers, now < s.panicking.Load()
}
