package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// proposal is one command and whoever waits for it.
type proposal struct {
	machine string
	cmd     []byte       // the caller's, which takes it back when it gives up: read by take alone
	done    chan outcome // holds one
	size    int          // of cmd and machine
	queued  bool         // it waits in the originator's queue; guarded by the mutex of that
	since   time.Time    // when it began to wait, if there is a deadline
	until   time.Time    // its caller's deadline; zero: not known

	mu    sync.Mutex // held while the state is left, and cmd copied: the two are one step
	state atomic.Int32
	out   *outgoing // that it belongs to; guarded by mu
}

// States of a proposal. Whoever moves it out of waiting decides: a caller that gives up in time knows that
// nothing left this node.
const (
	waiting   int32 = iota
	sent            // it may have left this node
	gone            // nobody waits any more, and it was not sent
	abandoned       // nobody waits any more, and it may have been sent
)

// giveUp is called when nobody waits any more; it reports whether the proposal may have left this node. Once
// it has returned, cmd is not read any more.
func (p *proposal) giveUp() (maybe bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.Load() == waiting {
		p.state.Store(gone)
		if p.out != nil {
			p.out.deserted()
		}
		return false
	}
	p.state.Store(abandoned)
	if p.out != nil {
		p.out.deserted()
	}
	return true
}

// join makes a proposal that still waits part of a batch.
func (p *proposal) join(out *outgoing) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.Load() != waiting {
		return false
	}
	p.out = out
	out.waiters.Add(1)
	return true
}

// take copies the command of a proposal that still waits to the end of body; from now on it may leave this
// node.
func (p *proposal) take(body []byte) (longer []byte, taken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.Load() != waiting {
		return body, false
	}
	p.state.Store(sent)
	return wire.AppendCommand(body, p.machine, p.cmd), true
}

// putBack undoes take, if somebody still waits.
func (p *proposal) putBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.Load() == sent {
		p.state.Store(waiting)
	}
}

type outcome struct {
	index uint64
	value []byte
	err   error
}

// outgoing is a batch under way with the proposals in it.
type outgoing struct {
	seq     uint64
	waiters atomic.Int32       // proposals that somebody waits for
	ctx     context.Context    // ends when nobody waits any more
	cancel  context.CancelFunc // of ctx

	ps     []*proposal
	taken  load   // what was in it at first
	frozen bool   // it may have left this node, so it must not change any more
	body   []byte // of the frozen batch
}

func newOutgoing() *outgoing {
	out := &outgoing{}
	out.ctx, out.cancel = context.WithCancel(context.Background())
	return out
}

// deserted is told once of each proposal that nobody waits for any more.
func (out *outgoing) deserted() {
	if out.waiters.Add(-1) == 0 {
		out.cancel()
	}
}

// seal decides what the batch holds, the moment before it is sent: who gave up by then is not in it. False if
// nobody is left who waits.
func (out *outgoing) seal() bool {
	if out.frozen {
		return true
	}
	kept, size := out.ps[:0], 0
	for _, p := range out.ps {
		size += len(p.machine) + len(p.cmd) + 2*binary.MaxVarintLen32
	}
	out.body = make([]byte, 0, size)
	for _, p := range out.ps {
		var taken bool
		if out.body, taken = p.take(out.body); taken {
			kept = append(kept, p)
		}
	}
	out.ps, out.frozen = kept, true
	return len(kept) > 0
}

// release undoes seal: the batch certainly did not get through.
func (out *outgoing) release() {
	for _, p := range out.ps {
		p.putBack()
	}
	out.frozen, out.body = false, nil
}

func (out *outgoing) fail(err error) {
	for _, p := range out.ps {
		p.done <- outcome{err: err}
	}
}

// overtaken is the answer to a batch whose instance ended before it was answered.
func (out *outgoing) overtaken() error {
	if out.frozen {
		return ErrUncertain
	}
	return errMoved
}

// turnedAway reports whether a leader looked at a batch and refused to put it into the log, as any other
// leader would now.
func turnedAway(err error) bool {
	return errors.Is(err, wire.ErrMalformed) || errors.Is(err, wire.ErrNoMachine) ||
		errors.Is(err, ErrLevel) ||
		errors.Is(err, ErrDiverged) || errors.Is(err, ErrOverloaded)
}

// outcomeOf returns what a refusal means: an attempt before this one may have got through all the same.
func (out *outgoing) outcomeOf(refusal error) error {
	if out.frozen {
		return fmt.Errorf("%w: %w", ErrUncertain, refusal)
	}
	return refusal
}
