package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// shut waits for those who take part from outside; later ones see that the leadership has ended.
func (l *leadership) shut() {
	l.inside.Lock()
	defer l.inside.Unlock()
	l.over = true
}

func (l *leadership) stamp() uint64 { return l.clock.Stamp(l.in.voters(), time.Now()) }

// await returns nil once the term is open.
func (l *leadership) await(ctx context.Context) error {
	select {
	case <-l.opened:
		return nil
	case <-l.ctx.Done():
		return wire.ErrNotLeader
	case <-ctx.Done():
		return ctx.Err()
	}
}

// provenTerm returns the term of an entry that was just applied, 0 if it is not sure: raft may have lost this
// term and won another before this leadership has heard of it. A nudge with a wrong term could commit an
// entry that lost.
func (l *leadership) provenTerm() uint64 {
	if l.in.raft.CurrentTerm() != l.term {
		return 0
	}
	return l.term
}

// enter runs f as part of the leadership, which ends only after it; false if it has ended before.
func (l *leadership) enter(f func() bool) bool {
	l.inside.RLock()
	defer l.inside.RUnlock()
	return !l.over && f()
}

func (l *leadership) stillMine(term uint64) error {
	if term != l.term {
		return wire.ErrNotLeader
	}
	return nil
}

// leads reports whether raft led the term of this leadership at some moment of the call. The leadership may
// have heard of it when raft had lost that term, and take a later one for it.
func (l *leadership) leads() bool {
	r := l.in.raft
	// terms only rise
	return r.CurrentTerm() == l.term && r.State() == raft.Leader && r.CurrentTerm() == l.term
}
