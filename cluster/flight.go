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

// flight is an entry that raft has taken.
type flight struct {
	future raft.ApplyFuture
	done   func(response any, err error)
	began  time.Time
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

// commit has an entry committed that nobody waits for but the leadership itself.
func (l *leadership) commit(entry func() []byte) error {
	done := make(chan error, 1)
	if !l.fly(entry, func(_ any, err error) { done <- err }) {
		return wire.ErrNotLeader
	}
	return <-done
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
