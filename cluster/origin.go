package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// originator sends this incarnation's proposals to the leader, wherever it is. What is waiting together
// travels as one batch, as far as the leader has given credit. A batch is sent again, to a new leader or over
// a new connection, until it is answered or nobody waits for it any more. The leader's state machine layer
// sees to it that it is applied once.
type originator struct {
	*core
	leading *leading
	nudger  *nudger
	id      uint64        // random, of this Raft instance
	wake    chan struct{} // holds one: something is queued
	window  chan struct{} // one for each batch under way

	mu     sync.Mutex
	queue  []*proposal
	gone   int // in queue, and nobody waits for them
	closed bool
	flow   flow
	sentTo string // NodeID of the leader that was sent something last

	introduced bool

	known  bool   // the farm knows this origin
	seq    uint64 // of the last batch
	flying map[uint64]bool
}

const (
	batchesInFlight = 8
	tidyFrom        = 1024 // proposals that nobody waits for, in the queue; there may be no leader for hours
)

// errMoved says that the instance ended before the proposal was sent: the next one can take it.
var errMoved = errors.New("the raft instance was replaced")

func newOriginator(c *core, ld *leading, n *nudger) *originator {
	return &originator{core: c, leading: ld, nudger: n, id: randomUint64(), wake: make(chan struct{}, 1),
		window: make(chan struct{}, batchesInFlight),
		flying: map[uint64]bool{}, flow: flow{credit: firstCredit}}
}

// submit queues p. It is answered on p.done, unless its context ends first: at once if it would have to wait
// for too long.
func (o *originator) submit(p *proposal) {
	p.size = len(p.machine) + len(p.cmd)
	now := time.Now()
	var patience time.Duration
	if !p.until.IsZero() {
		p.since = now
		patience = max(p.until.Sub(p.since), 1)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		p.done <- outcome{err: errMoved}
		return
	case !o.flow.takes(p.size, patience, now):
		p.done <- outcome{err: o.overloadedLocked()}
		return
	}
	p.queued = true
	o.flow.queued = o.flow.queued.plus(load{1, p.size})
	o.queue = append(o.queue, p)
	signal(o.wake)
}

func (o *originator) overloadedLocked() error {
	return fmt.Errorf("%w: %d commands of %d bytes wait at this node", ErrOverloaded, o.flow.queued.commands,
		o.flow.queued.bytes)
}

// leave is called when nobody waits for p any more, which has not left this node. It reports whether that is
// because more is asked of the leader than it does.
func (o *originator) leave(p *proposal) (overloaded bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !p.queued {
		return false
	}
	overloaded = o.flow.exhausted(time.Now())
	o.outLocked(p)
	if o.gone++; o.gone > tidyFrom && o.gone > len(o.queue)/2 {
		o.queue = slices.DeleteFunc(o.queue, func(p *proposal) bool { return !p.queued })
		o.gone = 0
	}
	return overloaded
}

// outLocked takes p out of what waits.
func (o *originator) outLocked(p *proposal) {
	p.queued = false
	o.flow.queued = o.flow.queued.minus(load{1, p.size})
}

// popLocked takes the first of the queue, nil if nobody waits for that any more.
func (o *originator) popLocked() *proposal {
	p := o.queue[0]
	o.queue[0], o.queue = nil, o.queue[1:]
	if !p.queued {
		o.gone--
		return nil
	}
	o.outLocked(p)
	return p
}

// shedLocked refuses those who came last, if they would have to wait for too long by now.
func (o *originator) shedLocked() {
	for n := o.flow.excess(); n > 0; {
		last := len(o.queue) - 1
		p := o.queue[last]
		o.queue[last], o.queue = nil, o.queue[:last]
		if !p.queued {
			o.gone--
			continue
		}
		n--
		p.done <- outcome{err: o.overloadedLocked()}
		o.outLocked(p)
	}
}

// run sends batch after batch until the instance ends.
func (o *originator) run() {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer o.close()
	for o.waitForWork() {
		if !o.register() {
			return
		}
		out := o.next()
		if len(out.ps) == 0 { // it was only to introduce itself
			<-o.window
			continue
		}
		wg.Go(func() {
			defer func() { <-o.window }()
			o.carry(out)
		})
	}
}

// waitForWork waits until a batch is worth sending and may fly; it takes the batch's place in the window.
func (o *originator) waitForWork() bool {
	select {
	case o.window <- struct{}{}:
	case <-o.ctx.Done():
		return false
	}
	for o.idle() {
		select {
		case <-o.wake:
		case <-o.ctx.Done():
			return false
		}
	}
	return true
}

func (o *originator) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.enoughLocked() && (o.known || !o.introduced)
}

func (o *originator) enoughLocked() bool {
	if o.flow.queued.commands > 0 && o.flow.aloft.commands == 0 {
		o.flow.rest(time.Now())
	}
	return o.flow.ready()
}

// close answers what was never sent.
func (o *originator) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, p := range o.queue {
		p.done <- outcome{err: errMoved}
	}
	o.queue = nil
}

// next takes what is waiting, as far as the credit and one batch go.
func (o *originator) next() *outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := newOutgoing()
	// next counts as one that waits, else the batch would end if all callers in it gave up before it is full
	out.waiters.Add(1)
	defer out.deserted()
	now := time.Now()
	for n := o.flow.next(); len(out.ps) < n && len(o.queue) > 0; {
		if size := out.taken.bytes + o.queue[0].size; size > wire.MaxEntryBytes && len(out.ps) > 0 {
			break
		}
		p := o.popLocked()
		switch {
		case p == nil:
		case o.tooLateLocked(p, now):
			p.done <- outcome{err: o.overloadedLocked()}
		case p.join(out):
			out.ps = append(out.ps, p)
			out.taken = out.taken.plus(load{1, p.size})
		}
	}
	if len(o.queue) == 0 {
		o.queue = nil
	}
	if len(out.ps) > 0 {
		o.seq++
		o.flying[o.seq] = true
		o.flow.aloft = o.flow.aloft.plus(out.taken)
		out.seq = o.seq
	}
	return out
}

// tooLateLocked reports whether p has waited, and would hardly be answered before its caller's deadline.
func (o *originator) tooLateLocked(p *proposal, now time.Time) bool {
	turn := o.flow.turn
	return !p.until.IsZero() && now.Sub(p.since) > turn/8 && p.until.Sub(now) < turn+turn/4
}

// floor returns the lowest batch whose answer is still wanted.
func (o *originator) floor() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	low := o.seq + 1
	for seq := range o.flying {
		low = min(low, seq)
	}
	return low
}

func (o *originator) landed(out *outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.flying, out.seq)
	o.flow.aloft = o.flow.aloft.minus(out.taken)
	o.shedLocked()
	signal(o.wake)
}

// carry has one batch committed, and answers its proposals.
func (o *originator) carry(out *outgoing) {
	defer o.landed(out)
	defer out.cancel()
	var pause backoff
	for {
		if out.ctx.Err() != nil {
			return // nobody wants its answer, and the floor refuses the batch if it still arrives
		}
		other := o.leader.changes()
		a, leader, err := o.attempt(out)
		switch {
		case err == nil:
			o.tell(out, a, leader)
			return
		case errors.Is(err, wire.ErrUnregistered), errors.Is(err, wire.ErrStale):
			// Nobody can know what became of it: the answers went with the registration.
			if errors.Is(err, wire.ErrUnregistered) {
				o.setKnown(false) // this node was out of the configuration for a while
			}
			out.fail(ErrUncertain)
			return
		case errors.Is(err, errNobody), out.ctx.Err() != nil:
			return // nobody wants its answer: that ended the attempt, and no line
		case errors.Is(err, ErrTooLarge): // the answers, at the leader: it was applied
			out.fail(fmt.Errorf("%w: its answer: %w", ErrUncertain, err))
			return
		case turnedAway(err):
			out.fail(out.outcomeOf(err))
			return
		}
		if !pause.waitFor(o.ctx, other) {
			out.fail(out.overtaken())
			return
		}
		if !errors.Is(err, ErrNoLeader) {
			o.node.meters.retries.Add(1)
		}
	}
}

// tell says to each caller of a batch what became of its command.
func (o *originator) tell(out *outgoing, a leaderAnswer, leader string) {
	if len(a.Value) != len(out.ps) {
		out.fail(ErrUncertain)
		return
	}
	o.nudger.nudge(nudge{index: a.Index, term: a.term, leader: leader})
	for i, p := range out.ps {
		p.done <- outcome{index: a.Index, value: a.Value[i]}
	}
}

// errNobody says that nobody waits for a batch any more.
var errNobody = errors.New("nobody waits")

// attempt sends the batch to the present leader once. It waits for the answer as long as that leads, the
// connection to it lives, and somebody wants the answer: to send a batch again while the first one waits
// would help nobody.
func (o *originator) attempt(out *outgoing) (leaderAnswer, string, error) {
	leader, ctx := o.leader.get()
	if leader == "" {
		o.lost()
		return leaderAnswer{}, "", ErrNoLeader
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(out.ctx, cancel)()
	w, err := o.route(ctx, leader)
	if err != nil {
		o.lost()
		return leaderAnswer{}, leader, err
	}
	fresh := !out.frozen
	if !out.seal() {
		return leaderAnswer{}, leader, errNobody
	}
	b := wire.Batch{Origin: o.id, Seq: out.seq, Floor: o.floor(), Count: len(out.ps), Body: out.body}
	a, err := o.send(ctx, w, b, fresh)
	if err = errors.Join(err, a.err, a.Code.Err()); fresh &&
		(errors.Is(err, wire.ErrNotLeader) || turnedAway(err)) {
		out.release()
	}
	return a, leader, err
}

func randomUint64() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:])
		if v := binary.BigEndian.Uint64(b[:]); v != 0 {
			return v
		}
	}
}
