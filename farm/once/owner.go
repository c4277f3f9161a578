package once

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// owner is what this node holds and waits for under one name. A node that was taken for dead goes on under
// another one.
type owner struct {
	c    *Client
	id   string
	ctx  context.Context // ends when the owner has
	end  context.CancelCauseFunc
	ring chan struct{} // holds one: the farm's owners have changed
	wake chan struct{} // holds one: there is something to keep, to refute, or to check

	holds    chan struct{} // holds one: there is a lease since guard looked
	restored atomic.Bool   // this node's copy of the state was replaced, and is to be checked

	mu      sync.Mutex
	until   time.Time // how long this node is sure of what it holds; see sure.go
	last    uint64    // ticket that was drawn
	waiting map[uint64]chan struct{}
	leases  map[*Lease]bool
	leaving map[uint64]bool // tickets that are being given back
}

// runOf returns the run of a program that an owner is of.
func runOf(id string) string {
	if i := strings.LastIndexByte(id, '#'); i >= 0 {
		return id[:i]
	}
	return id
}

// present returns this node's owner, and makes one if there is none.
func (c *Client) present(ctx context.Context) (*owner, error) {
	if o, err := c.current(); o != nil || err != nil {
		return o, err
	}
	select {
	case c.joining <- struct{}{}:
		defer func() { <-c.joining }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if o, err := c.current(); o != nil || err != nil { // made meanwhile
		return o, err
	}
	return c.register(ctx)
}

// current returns this node's owner, nil if there is none.
func (c *Client) current() (*owner, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	return c.owner, nil
}

// register makes an owner. It tries one name until that is registered, so that a node leaves no owners behind
// that nobody looks after; nothing was ever held under it before.
func (c *Client) register(ctx context.Context) (*owner, error) {
	c.mu.Lock()
	id := fmt.Sprintf("%s#%d", c.cfg.Run, c.owners+1)
	c.mu.Unlock()
	asked := time.Now()
	a, err := c.doHere(ctx, state.Register{ID: id, Node: c.cfg.Node})
	switch {
	case err != nil:
		return nil, err
	case a.Code == state.Full:
		return nil, ErrFull
	case a.Code != state.OK:
		return nil, unexpected(a)
	}
	o := &owner{c: c, id: id, ring: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		holds:   make(chan struct{}, 1),
		waiting: map[uint64]chan struct{}{}, leases: map[*Lease]bool{}, leaving: map[uint64]bool{}}
	o.ctx, o.end = context.WithCancelCause(c.ctx)
	o.sure(asked)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		o.end(ErrClosed)
		return nil, ErrClosed // it expires
	}
	c.owner = o
	c.owners++
	c.wg.Go(o.refresh)
	c.wg.Go(o.guard)
	c.wg.Go(o.watchRing)
	return o, nil
}

// lost ends an owner which the farm does not have any more.
func (c *Client) lost(o *owner) {
	c.mu.Lock()
	was := c.owner == o
	if was {
		c.owner = nil
	}
	c.mu.Unlock()
	if !was {
		return
	}
	c.counters.replaced.Add(1)
	c.log.Warn("this node was taken for dead, and what it held is free; it goes on under another name",
		"owner", o.id)
	o.end(ErrLost) // before the leases, so that one which is just being made ends too; see newLease
	o.endLeases(ErrLost)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.works {
		signal(w.news)
	}
}

// draw returns a new ticket, and the channel that says when to look at it.
func (o *owner) draw() (uint64, chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wakeLocked()
	o.last++
	news := make(chan struct{}, 1)
	o.waiting[o.last] = news
	return o.last, news
}

// leave ends the wait with a ticket.
func (o *owner) leave(n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.waiting, n)
}

// take notes that a lease is held.
func (o *owner) take(l *Lease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wakeLocked()
	o.leases[l] = true
	signal(o.holds)
	delete(o.waiting, l.ticket)
}

// wakeLocked is called before the owner has something to keep. It wakes refresh if that is the first thing.
func (o *owner) wakeLocked() {
	if !o.busyLocked() {
		signal(o.wake)
	}
}

// drop notes that a lease is not held any more, and whether its ticket is being given back: until forget.
func (o *owner) drop(l *Lease, leaving bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.leases, l)
	if leaving {
		o.leaving[l.ticket] = true
	}
}

// forget notes that a ticket was given back.
func (o *owner) forget(n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.leaving, n)
}

func (o *owner) held() []*Lease {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.leases))
}

// endLeases ends all that this owner holds.
func (o *owner) endLeases(cause error) {
	for _, l := range o.held() {
		l.finish(cause)
	}
}

// giveBack gives a ticket back, whatever has become of it.
func (o *owner) giveBack(n uint64) {
	o.mu.Lock()
	begun := o.leaving[n]
	o.leaving[n] = true
	o.mu.Unlock()
	if begun {
		return
	}
	o.c.spawn(func() {
		defer o.forget(n)
		o.c.insist(o.ctx, state.Release{Owner: o.id, Ticket: n})
	})
}

// hear passes on what was said of a ticket; 0 is of the owner itself.
func (o *owner) hear(n uint64) {
	if n == 0 {
		signal(o.wake)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if news := o.waiting[n]; news != nil {
		signal(news)
	}
}

// lookAgain has everybody who waits look at the state.
func (o *owner) lookAgain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, news := range o.waiting {
		signal(news)
	}
}

// check ends leases that this node does not have by its copy of the state, gives back what nobody here knows
// of, and has those look again whose wait is over: what was told may have been lost with a copy that was
// replaced, and the answer to a request may have been lost before it was carried out.
func (o *owner) check() {
	m := o.c.cfg.Local()
	for _, l := range o.held() {
		if !l.stands(m) {
			l.finish(ErrLost)
		}
	}
	for _, n := range o.compare(m.Tickets(o.id)) {
		o.giveBack(n)
	}
}

// compare has those look again who wait with a ticket that stands for something else, and returns the tickets
// that nobody here waits with, or holds something by.
func (o *owner) compare(tickets map[uint64]state.Standing) (unknown []uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n, news := range o.waiting {
		if tickets[n] != state.Waiting {
			signal(news)
		}
	}
	known := map[uint64]bool{}
	for l := range o.leases {
		known[l.ticket] = true
	}
	for n := range tickets {
		if !known[n] && o.waiting[n] == nil && !o.leaving[n] {
			unknown = append(unknown, n)
		}
	}
	return unknown
}
