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

// originator sends this incarnation's proposals to the leader, wherever it is. What is waiting together travels as one
// batch; a batch is sent again until it is answered or nobody waits for it any more. The leader's state machine layer
// sees to it that it is applied once.
type originator struct {
	in     *instance
	id     uint64        // random, of this run of the incarnation
	wake   chan struct{} // holds one: something is queued
	window chan struct{} // one for each batch under way

	mu     sync.Mutex
	queue  []*proposal
	closed bool
	queued int // bytes in queue
	aloft  int // proposals in batches under way
	tidyAt int // length at which the queue is rid of what nobody waits for; there may be no leader for hours

	introduced bool

	known  bool   // the farm knows this origin
	seq    uint64 // of the last batch
	flying map[uint64]bool
}

const (
	batchesInFlight = 8
	tidyFrom        = 1024
)

// errMoved says that the instance ended before the proposal was sent: the next one can take it.
var errMoved = errors.New("the raft instance was replaced")

func newOriginator(in *instance) *originator {
	return &originator{in: in, id: randomUint64(), wake: make(chan struct{}, 1), window: make(chan struct{}, batchesInFlight),
		flying: map[uint64]bool{}, tidyAt: tidyFrom}
}

// submit queues p. It is answered on p.done, unless its context ends first.
func (o *originator) submit(p *proposal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		p.done <- outcome{err: errMoved}
		return
	}
	o.queued += len(p.cmd)
	if o.queue = append(o.queue, p); len(o.queue) > o.tidyAt {
		o.tidyLocked()
	}
	signal(o.wake)
}

// tidyLocked rids the queue of what nobody waits for.
func (o *originator) tidyLocked() {
	o.queue = slices.DeleteFunc(o.queue, func(p *proposal) bool { return !p.wanted() })
	o.tidyAt = max(tidyFrom, 2*len(o.queue))
	o.queued = 0
	for _, p := range o.queue {
		o.queued += len(p.cmd)
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
			o.deliver(out)
		})
	}
}

// waitForWork waits until a batch is worth sending and may fly; it takes the batch's place in the window.
func (o *originator) waitForWork() bool {
	select {
	case o.window <- struct{}{}:
	case <-o.in.ctx.Done():
		return false
	}
	for o.idle() {
		select {
		case <-o.wake:
		case <-o.in.ctx.Done():
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

// enoughLocked reports whether what is queued makes a batch: it is not less than what is under way. So a lone proposal
// leaves at once, and many gather, as at the leader (see sequence).
func (o *originator) enoughLocked() bool {
	n := len(o.queue)
	return n > 0 && (n >= o.aloft || n >= wire.MaxEntryCommands || o.queued >= wire.MaxEntryBytes)
}

// introduce makes this origin known even before it has anything to propose.
func (o *originator) introduce() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.introduced = true
	signal(o.wake)
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

// next takes what is waiting, as far as one batch goes.
func (o *originator) next() *outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := newOutgoing()
	out.waiters.Add(1) // this one; or a caller that gives up now would take the batch from those who join it after
	defer out.deserted()
	for size := 0; len(o.queue) > 0 && len(out.ps) < wire.MaxEntryCommands; {
		p := o.queue[0]
		if size += len(p.cmd); size > wire.MaxEntryBytes && len(out.ps) > 0 {
			break
		}
		o.queue[0], o.queue = nil, o.queue[1:]
		o.queued -= len(p.cmd)
		if p.join(out) {
			out.ps = append(out.ps, p)
		}
	}
	if len(o.queue) == 0 {
		o.queue = nil
	}
	if len(out.ps) > 0 {
		o.seq++
		o.flying[o.seq] = true
		out.taken = len(out.ps)
		o.aloft += out.taken
		out.seq = o.seq
	}
	return out
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

// following returns the number of the next batch. A registration begins with it: what became of those before, if the farm
// knew this origin once, went with the registration of then, and they must not be applied again.
func (o *originator) following() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seq + 1
}

func (o *originator) landed(out *outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.flying, out.seq)
	o.aloft -= out.taken
	signal(o.wake)
}

// deliver has one batch committed, and answers its proposals.
func (o *originator) deliver(out *outgoing) {
	defer o.landed(out)
	defer out.cancel()
	var pause backoff
	for {
		if out.ctx.Err() != nil {
			return // its answer is not wanted either: from now on the floor refuses a straggler
		}
		a, leader, err := o.attempt(out)
		switch {
		case err == nil:
			o.settle(out, a, leader)
			return
		case errors.Is(err, errNobody):
			return
		case errors.Is(err, wire.ErrUnregistered), errors.Is(err, wire.ErrStale):
			// What became of it is beyond knowing: the answers went with the registration.
			if errors.Is(err, wire.ErrUnregistered) {
				o.setKnown(false) // this node was out of the configuration for a while
			}
			out.fail(ErrUncertain)
			return
		case errors.Is(err, ErrTooLarge): // the answers, at the leader: it was applied
			out.fail(fmt.Errorf("%w: its answer: %w", ErrUncertain, err))
			return
		case turnedAway(err):
			out.fail(out.outcomeOf(err))
			return
		}
		if !pause.wait(o.in.ctx) {
			out.fail(out.overtaken())
			return
		}
		if !errors.Is(err, ErrNoLeader) {
			o.in.node.meters.retries.Add(1)
		}
	}
}

func (o *originator) settle(out *outgoing, a leaderAnswer, leader string) {
	if len(a.Value) != len(out.ps) {
		out.fail(ErrUncertain)
		return
	}
	o.in.nudger.nudge(nudge{index: a.Index, term: a.term, leader: leader})
	for i, p := range out.ps {
		p.done <- outcome{index: a.Index, value: a.Value[i]}
	}
}

// errNobody says that nobody waits for a batch any more.
var errNobody = errors.New("nobody waits")

// attempt sends the batch to the present leader once. It waits for the answer as long as that leads, the connection to it lives, and
// somebody wants the answer: to send a batch again while the first one waits would help nobody.
func (o *originator) attempt(out *outgoing) (leaderAnswer, string, error) {
	leader, ctx := o.in.leader.get()
	if leader == "" {
		return leaderAnswer{}, "", ErrNoLeader
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(out.ctx, cancel)()
	send, err := o.route(ctx, leader)
	if err != nil {
		return leaderAnswer{}, leader, err
	}
	fresh := !out.frozen
	if !out.claim() {
		return leaderAnswer{}, leader, errNobody
	}
	b := wire.Batch{Origin: o.id, Seq: out.seq, Floor: o.floor(), Count: len(out.ps), Body: out.body}
	a, err := send(ctx, b)
	if err = errors.Join(err, a.err, a.Code.Err()); fresh && (errors.Is(err, wire.ErrNotLeader) || turnedAway(err)) {
		out.release()
	}
	return a, leader, err
}

// route returns the way to the leader, once it is open.
func (o *originator) route(ctx context.Context, leader string) (func(context.Context, wire.Batch) (leaderAnswer, error), error) {
	if leader == o.in.server {
		l := o.in.lead.Load()
		if l == nil {
			return nil, wire.ErrNotLeader
		}
		return func(ctx context.Context, b wire.Batch) (leaderAnswer, error) { return l.submit(ctx, b).copied(), nil }, nil
	}
	conn, err := o.in.node.peers.Get(ctx, wire.NodeOf(leader))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, b wire.Batch) (leaderAnswer, error) {
		answer, err := conn.Call(ctx, wire.MethodPropose, wire.AppendBatch(make([]byte, 0, b.Size()), &b))
		if err != nil {
			return leaderAnswer{}, err
		}
		return parseProposeAnswer(answer)
	}, nil
}

func parseProposeAnswer(b []byte) (leaderAnswer, error) {
	r := wire.NewReader(b)
	a := leaderAnswer{term: r.Uvarint()}
	a.Answer = wire.ReadAnswer(r)
	return a, r.End()
}

// answerPropose is the leader's side of attempt.
func (n *Node) answerPropose(ctx context.Context, payload []byte) ([]byte, error) {
	r := wire.NewReader(payload)
	b := wire.ReadBatch(r)
	if err := r.End(); err != nil {
		return nil, err
	}
	if err := n.acceptable(&b); err != nil {
		return nil, err // before it can reach the log
	}
	l := n.instance().lead.Load()
	if l == nil {
		return nil, wire.ErrNotLeader
	}
	if err := l.admit(ctx, &b); err != nil {
		return nil, err
	}
	a := l.submit(ctx, b)
	if a.err != nil {
		return nil, a.err
	}
	return wire.AppendAnswer(binary.AppendUvarint(nil, a.term), a.Answer), nil
}

// acceptable reports what is wrong with a batch that every node will have to apply. The machine of a newer program than
// this one, on its way to all, would stop the older ones.
func (n *Node) acceptable(b *wire.Batch) error {
	var unknown error
	err := b.Each(func(machine, _ []byte) {
		if n.cfg.Machines[string(machine)] == nil {
			unknown = fmt.Errorf("%w: %q", wire.ErrNoMachine, machine)
		}
	})
	return errors.Join(err, unknown)
}

// register makes this origin known, once, and again if the farm forgot it. False at the end of the instance.
func (o *originator) register() bool {
	var pause backoff
	for !o.isKnown() {
		g := wire.Registration{Origin: o.id, Server: o.in.server, Boot: o.in.boot, Floor: o.following()}
		err := o.in.askLeader(o.in.ctx, func(ctx context.Context, leader string) error {
			return o.registerAt(ctx, leader, g)
		})
		switch {
		case err == nil:
			o.setKnown(true)
			return true
		case errors.Is(err, wire.ErrSetBack):
			o.in.node.reset(o.in.server, wire.ErrSetBack)
		}
		if !pause.wait(o.in.ctx) {
			return false
		}
	}
	return true
}

func (o *originator) isKnown() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known
}

func (o *originator) setKnown(known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known = known
}

func (o *originator) registerAt(ctx context.Context, leader string, g wire.Registration) error {
	if leader != o.in.server {
		_, _, err := o.in.node.peers.Call(ctx, wire.NodeOf(leader), wire.MethodRegister, wire.AppendRegistration(nil, g))
		return err
	}
	if l := o.in.lead.Load(); l != nil {
		return l.register(ctx, g)
	}
	return wire.ErrNotLeader
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

// attemptTimeout is for how long a question is put to one leader.
const attemptTimeout = 5 * time.Second

// askLeader calls f with the present leader, within a time that allows for another attempt elsewhere.
func (in *instance) askLeader(ctx context.Context, f func(ctx context.Context, leader string) error) error {
	leader, lctx := in.leader.get()
	if leader == "" {
		return ErrNoLeader
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	defer context.AfterFunc(lctx, cancel)()
	return f(ctx, leader)
}

// backoff is the pause between attempts: short at first, since a new leader is found within a second.
type backoff struct{ d time.Duration }

func (b *backoff) wait(ctx context.Context) bool {
	b.d = min(max(2*b.d, 2*time.Millisecond), 100*time.Millisecond)
	return sleep(ctx, b.d)
}
