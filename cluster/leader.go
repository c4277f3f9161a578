package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// leadership is what a node does while it leads one term: it puts waiting batches into entries (sequence),
// has the others hear of commits (notice.go), answers barriers (confirm.go), keeps the voters (voters.go) and
// compares the copies (compare.go). DESIGN.md lists all of it, with how often. A leadership is made when raft
// says that this node leads, and ends when it does not any more.
type leadership struct {
	in     *instance
	term   uint64
	ctx    context.Context
	cancel context.CancelFunc
	formed chan struct{} // closed once users may write
	// closed once an entry of this term is applied here: then everything before it is, too
	opened    chan struct{}
	queue     chan *leaderBatch
	slots     chan struct{} // one for each entry in flight
	flown     chan flight
	aloft     atomic.Int64 // commands in entries in flight
	taken     takenBatches
	intake    intake
	landed    chan struct{} // holds one: aloft has fallen
	clock     *voting.Clock
	barr      rounds[uint64]
	leisure   rounds[uint64] // of barriers for those who can wait for others
	transfers transfers
	formOnce  sync.Once        // closes formed
	kick      chan struct{}    // wakes the voters' controller
	finals    chan chan raised // orders to raise the protocol level, for the controller
	wg        sync.WaitGroup

	// read-locked by callers from outside while they take part, which takes time; see enter
	inside sync.RWMutex
	over   bool // nobody enters any more

	notices *notices

	// server IDs of those whose copy was last the same as here; see compare
	same atomic.Pointer[map[string]bool]

	// for how long each server was silent at the last look of control
	silent atomic.Pointer[map[string]time.Duration]

	changing atomic.Bool // a change of the configuration is under way, and may come to nothing

	leftMu sync.Mutex
	left   map[string]uint64 // servers removed at their own request in this term, with their boot counters
}

const (
	entriesInFlight = 4
	largeCommands   = 3 // an entry holds so many, if it has no more than MaxEntryBytes for each
	enqueueTimeout  = time.Second
)

type leaderAnswer struct {
	wire.Answer
	term uint64 // of the entry, 0 if it is not known
	err  error
}

// copied returns a with values of their own: those that l.commitBatch returns stand in the exactly-once
// table, which is replicated state, and callers do with theirs as they like.
func (a leaderAnswer) copied() leaderAnswer {
	own := make([][]byte, len(a.Value))
	for i, v := range a.Value {
		own[i] = slices.Clone(v)
	}
	a.Value = own
	return a
}

// flight is an entry that raft has taken.
type flight struct {
	future raft.ApplyFuture
	done   func(response any, err error)
	began  time.Time
}

func newLeadership(in *instance, term uint64) *leadership {
	l := &leadership{in: in, term: term, opened: make(chan struct{}), formed: make(chan struct{}),
		queue: make(chan *leaderBatch),
		slots: make(chan struct{}, entriesInFlight), flown: make(chan flight, entriesInFlight),
		landed: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		finals: make(chan chan raised), left: map[string]uint64{}}
	l.notices = newNotices(l)
	l.ctx, l.cancel = context.WithCancel(in.ctx)
	_, stamp := in.fsm.View()
	l.clock = voting.NewClock(in.server, stamp, time.Now())
	spawn := func(f func()) bool {
		l.wg.Go(f) // callers are inside; see enter
		return true
	}
	l.barr = rounds[uint64]{do: l.confirm, spawn: spawn}
	l.leisure = rounds[uint64]{do: func() (uint64, error) { return l.barr.join(l.ctx) }, pause: l.leisurely(),
		spawn: spawn}
	return l
}

// run leads until the context ends, and returns once every entry in flight is answered.
func (l *leadership) run() {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		l.answerAll()
	}()
	l.wg.Go(l.notices.run)
	if l.open() {
		l.wg.Go(l.sequence)
		l.wg.Go(l.control)
		l.wg.Go(l.compare)
	}
	<-l.ctx.Done()
	l.shut()
	l.wg.Wait()
	close(l.flown)
	<-answered
}

// shut waits for those who take part from outside; later ones see that the leadership has ended.
func (l *leadership) shut() {
	l.inside.Lock()
	defer l.inside.Unlock()
	l.over = true
}

// open puts the first entry of the term into the log and waits until it is applied here.
func (l *leadership) open() bool {
	for l.ctx.Err() == nil {
		if err := l.askVoters(); err != nil {
			l.in.node.log.Debug("the voters do not answer their new leader yet", keyTerm, l.term, keyError,
				err)
		} else if err := l.openEntry(); err == nil {
			// perhaps ahead of all clocks, and not applied here when the leadership began
			_, stamp := l.in.fsm.View()
			l.clock.Raise(stamp, time.Now())
			close(l.opened)
			return true
		}
		sleep.For(l.ctx, 20*time.Millisecond)
	}
	return false
}

func (l *leadership) openEntry() error {
	return l.commit(func() []byte { return wire.EntryHeader(wire.EntryOpen, l.stamp()) })
}

// commit has an entry committed that nobody waits for but the leadership itself.
func (l *leadership) commit(entry func() []byte) error {
	done := make(chan error, 1)
	if !l.fly(entry, func(_ any, err error) { done <- err }) {
		return wire.ErrNotLeader
	}
	return <-done
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

// commitBatch has a batch committed and returns its answer, or wire.ErrNotLeader if nothing was done, or
// ErrUncertain.
func (l *leadership) commitBatch(ctx context.Context, b wire.Batch) leaderAnswer {
	if d := l.in.witness.divergence(); d.stop {
		return leaderAnswer{err: d.err()}
	}
	lb := &leaderBatch{Batch: b, done: make(chan leaderAnswer, 1)}
	select {
	case l.queue <- lb:
	case <-l.ctx.Done():
		return leaderAnswer{err: wire.ErrNotLeader}
	case <-ctx.Done():
		return leaderAnswer{err: wire.ErrNotLeader}
	}
	select {
	case a := <-lb.done:
		return a
	case <-ctx.Done():
		return leaderAnswer{err: ErrUncertain}
	}
}

// sequence puts what is waiting into one entry after the other. While entries are in flight, the next one
// gathers until it holds as many commands as they do, or they have landed: an entry costs every voter a write
// to its log, whatever is in it. A lone writer waits for nobody.
func (l *leadership) sequence() {
	select {
	case <-l.formed:
	case <-l.ctx.Done():
		return
	}
	for {
		c := &cargo{}
		if !l.gather(c) {
			l.answer(c.batches, 0, nil, wire.ErrNotLeader)
			return
		}
		entry := func() []byte {
			l.top(c)
			l.aloft.Add(int64(c.commands))
			return l.commands(c)
		}
		done := func(resp any, err error) {
			l.aloft.Add(-int64(c.commands))
			signal(l.landed)
			l.answer(c.batches, l.provenTerm(), resp, err)
		}
		if !l.fly(entry, done) {
			l.answer(c.batches, 0, nil, wire.ErrNotLeader)
		}
	}
}

// cargo is the batches of an entry that is being put together.
type cargo struct {
	batches        []*leaderBatch
	size, commands int
}

func (c *cargo) add(b *leaderBatch) {
	c.batches, c.size, c.commands = append(c.batches, b), c.size+b.Size(), c.commands+b.Count
}

// full reports whether the entry takes no more batches. It takes a few large commands even if they have more
// bytes than one entry should: a slow disk needs as long to write one of them as to write several.
func (c *cargo) full() bool {
	return c.commands >= wire.MaxEntryCommands || c.size >= largeCommands*wire.MaxEntryBytes ||
		c.size >= wire.MaxEntryBytes && c.commands >= largeCommands
}

// gather waits for enough to make an entry of. It reports false if the leadership ends before.
func (l *leadership) gather(c *cargo) bool {
	for c.commands == 0 || !c.full() && c.commands < int(l.aloft.Load()) {
		select {
		case b := <-l.queue:
			l.take(c, b)
		case <-l.landed:
		case <-l.ctx.Done():
			return false
		}
	}
	return true
}

// top takes what else is waiting, as far as one entry goes.
func (l *leadership) top(c *cargo) {
	for !c.full() {
		select {
		case b := <-l.queue:
			l.take(c, b)
		default:
			return
		}
	}
}

func (l *leadership) commands(c *cargo) []byte {
	entry := append(make([]byte, 0, c.size+16), wire.EntryHeader(wire.EntryCommands, l.stamp())...)
	for _, b := range c.batches {
		entry = wire.AppendBatch(entry, &b.Batch)
	}
	return entry
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

// answer answers the batches of one entry.
func (l *leadership) answer(bs []*leaderBatch, term uint64, resp any, err error) {
	answers, _ := resp.([]wire.Answer)
	if err == nil && len(answers) != len(bs) {
		err = ErrUncertain // the state has stopped
	}
	for i, b := range bs {
		if err != nil {
			l.taken.end(b, leaderAnswer{err: err})
			continue
		}
		l.taken.end(b, leaderAnswer{Answer: answers[i], term: term})
	}
}

// fly hands an entry to raft, made when its turn has come; done is called with the outcome. It reports false
// if this node leads no more.
func (l *leadership) fly(entry func() []byte, done func(any, error)) bool {
	select {
	case l.slots <- struct{}{}:
	case <-l.ctx.Done():
		return false
	}
	e := entry()
	began := time.Now()
	l.flown <- flight{l.in.raft.Apply(e, enqueueTimeout), done, began}
	return true
}

// answerAll waits for the entries in flight, in their order, until the leadership has ended and all are
// answered: raft answers what is open when it steps down.
func (l *leadership) answerAll() {
	for f := range l.flown {
		err := f.future.Error()
		l.noteTransfer(err)
		err = applyError(err)
		<-l.slots
		if err != nil {
			f.done(nil, err)
			continue
		}
		l.in.node.meters.commit.Since(f.began)
		f.done(f.future.Response(), nil)
	}
}

// applyError sorts raft's errors into "nothing was done" and "nobody knows".
func applyError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress),
		errors.Is(err, raft.ErrEnqueueTimeout):
		return wire.ErrNotLeader
	}
	return fmt.Errorf("%w: %w", ErrUncertain, err)
}

// enter runs f as part of the leadership, which ends only after it; false if it has ended before.
func (l *leadership) enter(f func() bool) bool {
	l.inside.RLock()
	defer l.inside.RUnlock()
	return !l.over && f()
}
