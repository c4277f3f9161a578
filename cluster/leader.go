package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

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
