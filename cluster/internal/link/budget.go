package link

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// Bounds are what the handshakes of one class may take at one node, at one end: dialled, or accepted.
type Bounds struct {
	// Peer is how many are under way with one peer, from before the connection is opened until it is secured;
	// 0 = any number.
	Peer int

	// Work is how many are computed at once, with all peers together. One that waits for the network is not
	// computed, so a peer that says nothing keeps no place from others.
	Work int
}

// Budget bounds the handshakes of one node, each class for itself: none can take anything from another.
// Within a class the peers take turns, so none can keep the others waiting either, however many handshakes it
// asks for. It is for either end.
//
// A handshake goes
//
//	Begin --- waits for one of its peer's places ---> resting --- Work: waits for its peer's turn ---> at work
//	                                                     ^                                               |
//	                                                     +------- Rest: the network is waited for -------+
//
// and End gives back whatever it holds. Who stops waiting holds nothing.
type Budget struct {
	bounds map[Class]Bounds
	work   map[Class]*fair

	mu     sync.Mutex
	places map[placeOf]*places // of those peers that have any
}

// placeOf says whose places they are.
type placeOf struct {
	class Class
	peer  string
}

// places are those of one peer.
type places struct {
	*fair
	users int // that have one, or wait for one; guarded by the budget's mutex
}

// Dialling returns the budget of the dialling end.
func Dialling() *Budget { return NewBudget(usual()) }

// usual returns the bounds for this machine. What strangers can cause, by requests that are forwarded, takes
// half of the processors at most.
func usual() map[Class]Bounds {
	all := max(2, runtime.GOMAXPROCS(0))
	half := max(1, runtime.GOMAXPROCS(0)/2)
	return map[Class]Bounds{
		Raft:   {Peer: 8, Work: all},
		Gossip: {Peer: 8, Work: all},
		RPC:    {Peer: 4, Work: all},
		Admin:  {Peer: 4, Work: all},
		Public: {Peer: PublicPeer, Work: half},
		Bulk:   {Peer: 4, Work: half},
	}
}

// PublicPeer is how many handshakes of class Public are under way with one peer: enough to use a line whose
// round trip takes long.
const PublicPeer = 32

// Accepting returns the budget of the accepting end. A peer is known there by its address alone, which it may
// share with others; so there is no bound of its own for it, but it has its turn.
func Accepting() *Budget {
	bounds := usual()
	for c, x := range bounds {
		bounds[c] = Bounds{Work: x.Work}
	}
	return NewBudget(bounds)
}

// NewBudget returns a budget with bounds for each class. A class without any has no handshakes.
func NewBudget(bounds map[Class]Bounds) *Budget {
	b := &Budget{bounds: bounds, work: make(map[Class]*fair), places: make(map[placeOf]*places)}
	for c, x := range bounds {
		b.work[c] = newFair(x.Work)
	}
	return b
}

// Slot is one handshake's part of a budget. It is used by one goroutine at a time.
type Slot struct {
	budget  *Budget
	of      placeOf
	places  *places // that it has one of; nil = they are not bounded, or it has none any more
	working bool
}

// Begin waits until a handshake with peer may begin. It is at rest then. An error is the cause of ctx, or
// says that there is no such class.
func (b *Budget) Begin(ctx context.Context, class Class, peer string) (*Slot, error) {
	if b.work[class] == nil {
		return nil, fmt.Errorf("no budget for connections of class %q", class)
	}
	s := &Slot{budget: b, of: placeOf{class, peer}}
	if b.bounds[class].Peer == 0 {
		return s, nil
	}
	p := b.join(s.of)
	if err := p.take(ctx, ""); err != nil {
		b.leave(s.of, p)
		return nil, err
	}
	s.places = p
	return s, nil
}

// Work waits until the handshake may be computed on. An error is the cause of ctx; the handshake is at rest
// then.
func (s *Slot) Work(ctx context.Context) error {
	if s.working {
		return nil
	}
	if err := s.budget.work[s.of.class].take(ctx, s.of.peer); err != nil {
		return err
	}
	s.working = true
	return nil
}

// Rest says that the handshake waits for the network.
func (s *Slot) Rest() {
	if s.working {
		s.working = false
		s.budget.work[s.of.class].give()
	}
}

// End says that the handshake is over, well or not. It may be said again.
func (s *Slot) End() {
	s.Rest()
	if p := s.places; p != nil {
		s.places = nil
		p.give()
		s.budget.leave(s.of, p)
	}
}

// join counts a user of the places of a peer, leave discounts one.
func (b *Budget) join(of placeOf) *places {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.places[of]
	if p == nil {
		p = &places{fair: newFair(b.bounds[of.class].Peer)}
		b.places[of] = p
	}
	p.users++
	return p
}

func (b *Budget) leave(of placeOf, p *places) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.users--; p.users == 0 {
		delete(b.places, of)
	}
}
