package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// tenure is what the parts of a leadership have in common: the term, and how it ends. It knows none of them.
type tenure struct {
	in     *instance
	term   uint64
	ctx    context.Context // ends when this node leads no more
	cancel context.CancelFunc
	wg     sync.WaitGroup
	clock  *voting.Clock
	opened chan struct{} // closed once an entry of this term is applied here, and with it all before
	guests guests
}

func newTenure(in *instance, term uint64) *tenure {
	_, stamp := in.fsm.View()
	t := &tenure{in: in, term: term, clock: voting.NewClock(in.server, stamp, time.Now()),
		opened: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(in.ctx)
	return t
}

// guests are callers from outside that take part in a leadership.
type guests struct {
	mu   sync.RWMutex // read-locked by each, for as long as it takes part
	over bool         // none is let in any more
}

// enter runs f, unless none is let in any more. It reports what f did.
func (g *guests) enter(f func() bool) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return !g.over && f()
}

// shut waits for those who take part, and lets none in any more.
func (g *guests) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
}

// stamp returns the time of the log, for the next entry.
func (t *tenure) stamp() uint64 { return t.clock.Stamp(t.in.voters(), time.Now()) }

// await returns nil once the term is open.
func (t *tenure) await(ctx context.Context) error {
	select {
	case <-t.opened:
		return nil
	case <-t.ctx.Done():
		return wire.ErrNotLeader
	case <-ctx.Done():
		return ctx.Err()
	}
}

// provenTerm returns the term of an entry that was just applied, 0 if it is not sure: raft may have lost this
// term and won another before this leadership has heard of it. A nudge with a wrong term could commit an
// entry that lost.
func (t *tenure) provenTerm() uint64 {
	if t.in.raft.CurrentTerm() != t.term {
		return 0
	}
	return t.term
}

// enter runs f as part of the leadership, which ends only after it. It reports false if the leadership has
// ended before, or f says so.
func (t *tenure) enter(f func() bool) bool { return t.guests.enter(f) }

// stillMine returns nil if a term is that of this leadership.
func (t *tenure) stillMine(term uint64) error {
	if term != t.term {
		return wire.ErrNotLeader
	}
	return nil
}

// leads reports whether raft led the term of this leadership at some moment of the call. The leadership may
// have heard of it when raft had lost that term, and take a later one for it.
func (t *tenure) leads() bool {
	r := t.in.raft
	// terms only rise
	return r.CurrentTerm() == t.term && r.State() == raft.Leader && r.CurrentTerm() == t.term
}
