package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

const (
	entriesInFlight = 4
	enqueueTimeout  = time.Second
)

// flights has entries committed, a few at a time.
type flights struct {
	*tenure
	slots     chan struct{} // one for each entry in flight
	flown     chan flight
	transfers transfers
	landings  landings
}

func newFlights(t *tenure) *flights {
	fl := &flights{tenure: t, slots: make(chan struct{}, entriesInFlight),
		flown: make(chan flight, entriesInFlight)}
	fl.landings.line = fl.toMajority
	return fl
}

// toMajority returns how long it takes to a majority of the voters and back, at the least; 0: not known.
func (fl *flights) toMajority() time.Duration {
	return fl.in.layer.followers.roundTrip(fl.in.server, fl.in.voters())
}

// flight is an entry that raft has taken.
type flight struct {
	future raft.ApplyFuture
	done   func(response any, err error)
	began  time.Time
}

// fly hands an entry to raft, made when its turn has come; done is called with the outcome. It reports false
// if this node leads no more.
func (fl *flights) fly(entry func() []byte, done func(any, error)) bool {
	select {
	case fl.slots <- struct{}{}:
	case <-fl.ctx.Done():
		return false
	}
	e := entry()
	began := time.Now()
	fl.flown <- flight{fl.in.raft.Apply(e, enqueueTimeout), done, began}
	return true
}

// commit has an entry committed that nobody waits for but the leadership itself.
func (fl *flights) commit(entry func() []byte) error {
	done := make(chan error, 1)
	if !fl.fly(entry, func(_ any, err error) { done <- err }) {
		return wire.ErrNotLeader
	}
	return <-done
}

// run waits for the entries in flight, in their order, until the leadership has ended and all are
// answered: raft answers what is open when it steps down.
func (fl *flights) run() {
	for f := range fl.flown {
		err := f.future.Error()
		fl.noteTransfer(err)
		err = applyError(err)
		<-fl.slots
		if err != nil {
			f.done(nil, err)
			continue
		}
		fl.in.node.meters.commit.Since(f.began)
		fl.landings.note(f.began, time.Now())
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
