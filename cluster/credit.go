package cluster

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A leader gives each origin credit for what it may have under way: waiting at the leader, or in an entry in
// flight. It divides what the farm can make use of, by max-min fairness, among the origins that have sent
// something of late (see fair.go). An entry in flight, and another one that gathers for each, keeps the disks
// busy; what waits beyond that waits where it came from, and can be refused there. It is less where entries
// take long (see landing.go).
var allCredit = load{2 * entriesInFlight * wire.MaxEntryCommands, 2*entriesInFlight*wire.MaxEntryBytes +
	2*wire.MaxEntryBytes}

// maxTaken is what a leader takes in at most. Origins that were idle may begin at one time, each with its
// first credit. It is less where entries take long.
var maxTaken = load{4 * allCredit.commands, 4 * allCredit.bytes}

// activeFor is for how long an origin counts as active after it has sent something, or was answered at last.
const activeFor = time.Second

// span is how long a leader remembers what an origin has wanted: it looks at the present span and the one
// before.
const span = activeFor / 4

// intake is what a leader has taken in and not answered yet, and from whom.
type intake struct {
	mu      sync.Mutex
	taken   load
	weight  int64 // the sum of load.weight of the batches
	bulk    int64 // and of load.bulk
	origins map[uint64]*activity
	turned  time.Time // when the present span began
	all     load      // what is divided in the present span; zero: allCredit
	level   load      // the most that an origin may have; valid unless dated
	dated   bool      // what level follows from has changed

	landings *landings // nil: it divides allCredit
}

// activity is what a leader knows of an origin.
type activity struct {
	batches int       // of it that are taken in
	last    time.Time // when one came, or was answered
	taken   load      // in those batches
	given   load      // by the last answer
	most    load      // the most that it wanted in the present span
	before  load      // and in the one before
}

func loadOf(b *wire.Batch) load { return load{b.Count, b.Size()} }

// take lets a batch in. One that may be refused gets ErrOverloaded if there is too much already.
func (i *intake) take(b *wire.Batch, refusable bool) error {
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if refusable && i.taken.commands > 0 && !i.roomLocked(loadOf(b)) {
		return fmt.Errorf("%w: %d commands of %d bytes wait at the leader", ErrOverloaded, i.taken.commands,
			i.taken.bytes)
	}
	i.addLocked(loadOf(b), 1)
	o := i.origins[b.Origin]
	if o == nil {
		if i.origins == nil {
			i.origins = map[uint64]*activity{}
		}
		o = &activity{given: firstCredit}
		i.origins[b.Origin] = o
	}
	o.batches++
	o.last, o.taken = now, o.taken.plus(loadOf(b))
	wants := o.demand(i.amountLocked())
	i.dated = i.dated || !wants.within(o.wants())
	o.most = o.most.max(wants)
	return nil
}

// addLocked counts a batch as taken in, or as answered if sign is -1.
func (i *intake) addLocked(b load, sign int) {
	i.taken = i.taken.plus(load{sign * b.commands, sign * b.bytes})
	i.weight += int64(sign) * b.weight(0)
	i.bulk += int64(sign) * b.bulk()
}

// done takes a batch out that is answered, or that nobody waits for any more. It returns what its origin may
// have under way.
func (i *intake) done(b *wire.Batch) wire.Credit {
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if now.Sub(i.turned) >= span {
		i.turnLocked(now)
	}
	i.addLocked(loadOf(b), -1)
	o := i.origins[b.Origin]
	o.batches--
	o.last, o.taken = now, o.taken.minus(loadOf(b))
	o.given = i.creditLocked(o)
	return wire.Credit{Commands: uint64(o.given.commands), Bytes: uint64(o.given.bytes)}
}

// turnLocked begins a new span, and forgets the origins that are not active any more.
func (i *intake) turnLocked(now time.Time) {
	i.turned, i.dated, i.all = now, true, i.dividedLocked()
	maps.DeleteFunc(i.origins, func(_ uint64, o *activity) bool {
		o.before, o.most = o.most, o.demand(i.all)
		return !o.active(now)
	})
}

// active reports whether an origin takes part in the division.
func (o *activity) active(now time.Time) bool { return o.batches > 0 || now.Sub(o.last) < activeFor }

// creditOf returns the credit that a leader's answer gives, within what can be meant.
func creditOf(c wire.Credit) load {
	return load{int(min(max(c.Commands, 1), uint64(maxQueued.commands))),
		int(min(max(c.Bytes, 1), uint64(maxQueued.bytes)))}
}

// offer has a batch committed, if the leader has room for it, and returns the credit of its
// origin from now on.
func (s *sequencer) offer(ctx context.Context, b wire.Batch, refusable bool) (leaderAnswer, wire.Credit) {
	if err := s.intake.take(&b, refusable); err != nil {
		return leaderAnswer{err: err}, wire.Credit{}
	}
	a := s.commitBatch(ctx, b)
	return a, s.intake.done(&b)
}
