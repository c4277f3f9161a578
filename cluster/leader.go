package cluster

import (
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// leadership is what a node does while it leads one term: it puts waiting batches into entries (sequence.go),
// has the others hear of commits (notice.go), answers barriers (confirm.go), keeps the voters (voters.go) and
// compares the copies (compare.go). DESIGN.md lists all of it, with how often. A leadership is made when raft
// says that this node leads, and ends when it does not any more.
type leadership struct {
	*tenure

	flights     *flights
	founding    *founding
	sequencer   *sequencer
	confirming  *confirming
	proving     *proving
	raising     *raising
	controlling *controlling
	comparison  *comparison
	awaiting    *awaiting
	notices     *notices
}

func newLeadership(in *instance, term uint64) *leadership {
	t := newTenure(in, term)
	l := &leadership{tenure: t, flights: newFlights(t), confirming: newConfirming(t),
		awaiting: &awaiting{tenure: t}, notices: newNotices(t)}
	l.raising = &raising{tenure: t, flights: l.flights, orders: make(chan chan raised)}
	l.founding = &founding{tenure: t, flights: l.flights, raising: l.raising, formed: make(chan struct{})}
	l.sequencer = newSequencer(t, l.flights, l.founding)
	l.sequencer.intake.landings = &l.flights.landings
	l.proving = &proving{tenure: t, confirming: l.confirming}
	l.controlling = newControlling(t, l.founding, l.raising)
	l.comparison = newComparison(t, l.flights, l.proving)
	return l
}

// run leads until the context ends, and returns once every entry in flight is answered.
func (l *leadership) run() {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		l.flights.run()
	}()
	l.wg.Go(l.notices.run)
	if l.open() {
		l.wg.Go(l.sequencer.run)
		l.wg.Go(l.controlling.run)
		l.wg.Go(l.comparison.run)
	}
	<-l.ctx.Done()
	l.guests.shut()
	l.wg.Wait()
	close(l.flights.flown)
	<-answered
}

// open puts the first entry of the term into the log and waits until it is applied here.
func (l *leadership) open() bool {
	for l.ctx.Err() == nil {
		if err := l.confirming.askVoters(); err != nil {
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
	return l.flights.commit(func() []byte { return wire.EntryHeader(wire.EntryOpen, l.stamp()) })
}
