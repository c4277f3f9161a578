package state

import (
	"cmp"
	"slices"
)

// lock is a lock that somebody holds. One that nobody holds is not there.
type lock struct {
	holder ticket
	fence  uint64
	since  int64 // ms since 1970, by the log's time
	queue  []ticket
}

// ticket is a request of an owner for one lock. It is never used again.
type ticket struct {
	owner string
	n     uint64
	rank  byte // the least is preferred; those of one rank are served in the order of the log
}

// Done is a migration that was carried out.
type Done struct {
	Node  string
	Fence uint64
	At    int64 // ms since 1970, by the log's time
}

// Acquire asks for a lock. A ticket that is known is answered by where it stands, so that to ask twice is to
// ask once.
//
// Answers: Granted with the Fence; Queued; Busy if another holds it and Wait is not set; Finished if it
// stands for a migration that is done; Gone if the owner has ended; Full.
type Acquire struct {
	Owner  string
	Ticket uint64
	Name   string
	Rank   byte
	Wait   bool
}

func (c Acquire) apply(s *step) Answer {
	o := s.owners[c.Owner]
	if o == nil {
		return Answer{Code: Gone}
	}
	if name, ok := o.tickets[c.Ticket]; ok {
		if l := s.locks[name]; l.holder.owner == c.Owner && l.holder.n == c.Ticket {
			return Answer{Code: Granted, Fence: l.fence}
		}
		return Answer{Code: Queued}
	}
	if _, ok := s.done[c.Name]; ok {
		return Answer{Code: Finished}
	}
	t := ticket{c.Owner, c.Ticket, c.Rank}
	l := s.locks[c.Name]
	switch {
	case l != nil && !c.Wait:
		return Answer{Code: Busy}
	case len(o.tickets) >= MaxTickets, l == nil && len(s.locks) >= MaxLocks,
		l != nil && len(l.queue) >= MaxQueue:
		return Answer{Code: Full}
	}
	o.tickets[c.Ticket] = c.Name
	if l != nil {
		l.queue = append(l.queue, t)
		return Answer{Code: Queued}
	}
	l = &lock{}
	s.locks[c.Name] = l
	s.grant(l, t)
	return Answer{Code: Granted, Fence: l.fence}
}

// Release gives a lock back, or gives up waiting for it. With Finished the lock stands for a migration, which
// its holder has carried out: nobody gets it any more.
//
// Answers: OK; Gone if the ticket is none: the owner has ended, or gave it back before; Full if there are too
// many migrations that are done: then it still holds the lock.
type Release struct {
	Owner    string
	Ticket   uint64
	Finished bool
}

func (c Release) apply(s *step) Answer {
	o := s.owners[c.Owner]
	if o == nil {
		return Answer{Code: Gone}
	}
	name, ok := o.tickets[c.Ticket]
	if !ok {
		return Answer{Code: Gone}
	}
	l := s.locks[name]
	if c.Finished && l.holder.is(c.Owner, c.Ticket) {
		if len(s.done) >= MaxDone {
			return Answer{Code: Full}
		}
		s.done[name] = Done{Node: o.Node, Fence: l.fence, At: s.now}
		s.dismiss(l)
	}
	s.drop(o, c.Ticket)
	return Answer{Code: OK}
}

func (t ticket) is(owner string, n uint64) bool { return t.owner == owner && t.n == n }

// dismiss tells those who wait for a lock that there is nothing to wait for.
func (s *step) dismiss(l *lock) {
	for _, t := range l.queue {
		delete(s.owners[t.owner].tickets, t.n)
		s.tellTicket(t.owner, t.n)
	}
	l.queue = nil
}

// drop removes a ticket. The lock that it held goes to the next.
func (s *step) drop(o *owner, n uint64) {
	name := o.tickets[n]
	delete(o.tickets, n)
	s.tellTicket(o.ID, n)
	l := s.locks[name]
	if !l.holder.is(o.ID, n) {
		l.queue = slices.DeleteFunc(l.queue, func(t ticket) bool { return t.is(o.ID, n) })
		return
	}
	s.pass(name, l)
}

// dropAll removes all tickets of an owner that has ended.
func (s *step) dropAll(o *owner) {
	stands := s.standsOf(o)
	s.events = slices.Grow(s.events, 2*len(stands))
	cleared := map[*lock]bool{}
	for _, at := range stands {
		s.tellTicket(o.ID, at.n)
		if len(at.queue) > 0 && !cleared[at.lock] { // once for each lock, however many tickets wait for it
			cleared[at.lock] = true
			at.queue = slices.DeleteFunc(at.queue, func(t ticket) bool { return t.owner == o.ID })
		}
	}
	for _, at := range stands {
		if at.holder.is(o.ID, at.n) {
			s.pass(at.name, at.lock)
		}
	}
}

// stand is where a ticket stands: at this lock, which it holds or waits for.
type stand struct {
	n    uint64
	name string
	*lock
}

// standsOf returns where an owner's tickets stand, by their numbers.
func (s *step) standsOf(o *owner) []stand {
	stands := make([]stand, 0, len(o.tickets))
	for n, name := range o.tickets {
		stands = append(stands, stand{n, name, s.locks[name]})
	}
	slices.SortFunc(stands, func(a, b stand) int { return cmp.Compare(a.n, b.n) })
	return stands
}

// pass gives a lock to the next, or removes it.
func (s *step) pass(name string, l *lock) {
	if i := first(l.queue); i >= 0 {
		next := l.queue[i]
		l.queue = slices.Delete(l.queue, i, i+1)
		s.grant(l, next)
		return
	}
	delete(s.locks, name)
}

// first returns the place of who is next: the first of the best rank, -1 if nobody waits.
func first(queue []ticket) int {
	best := -1
	for i, t := range queue {
		if best < 0 || t.rank < queue[best].rank {
			best = i
		}
	}
	return best
}

func (s *step) grant(l *lock, t ticket) {
	l.holder, l.fence, l.since = t, s.nextFence(), s.now
	s.tellTicket(t.owner, t.n)
}
