package pick

import "time"

// Status is what is known of a peer at one moment, for people.
type Status struct {
	ID       string
	Chosen   uint64        // times
	InFlight int           // requests of this node, streams apart
	Others   int           // requests of others, as the peer has last said
	Limit    int           // as the peer has last said; 0 = none
	Latency  time.Duration // until the head of an answer; 0 = not known
	Share    float64       // of what others in its place get: below 1 for one that is new or has recovered
	Ejected  time.Duration // it is ejected for so long
	Probing  bool          // it was ejected, and has not shown yet that it is well
	Draining bool          // it says that it stops
	Down     bool          // there is no connection with it
}

// Status returns what is known of the peers that may be chosen, and whether so many are ejected that it
// counts for nothing.
func (s *Set) Status() (peers []Status, panicking bool) {
	for _, p := range *s.offered.Load() {
		peers = append(peers, p.Status())
	}
	return peers, s.nanos() < s.panicking.Load()
}

// Status returns what is known of the peer.
func (p *Peer) Status() Status {
	now, ejected, flight := p.set.nanos(), p.ejected.Load(), int(p.flight.Load())
	return Status{
		ID:       p.id,
		Chosen:   p.chosen.Load(),
		InFlight: flight,
		Others:   int(p.load(now)) - flight,
		Limit:    int(p.limit.Load()),
		Latency:  time.Duration(p.mean(now) * float64(time.Second)),
		Share:    p.share(now),
		Ejected:  time.Duration(max(ejected-now, 0)),
		Probing:  ejected != 0 && ejected <= now,
		Draining: p.draining.Load(),
		Down:     p.down.Load(),
	}
}
