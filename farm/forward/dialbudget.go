package forward

import (
	"context"
	"sync"
	"time"
)

// A connection to a peer costs each end a handshake, which is milliseconds of a processor, and a client can have one made by
// every request that it gives up. So dials are bounded: else strangers could take the peer's processors away from Raft.
const (
	dialsAtOnce = 4                     // to one peer, under way
	dialBurst   = 128                   // to one peer, in a row
	dialGap     = 10 * time.Millisecond // between two, on average, after that
)

// dialBudget is what may be spent on connecting to one peer.
type dialBudget struct {
	slots chan struct{} // has one for each that is under way

	mu   sync.Mutex
	next time.Time // of the next dial, if they came as evenly as they may; guarded by mu
}

func newDialBudget() *dialBudget { return &dialBudget{slots: make(chan struct{}, dialsAtOnce)} }

// begin waits until a dial may begin; end ends it. While it waits, it takes a link instead that has become free. Who gives up
// waiting has spent nothing.
func (d *dialBudget) begin(ctx context.Context, freed <-chan *link) (l *link, end func(), err error) {
	select {
	case d.slots <- struct{}{}:
	case l := <-freed:
		return l, nil, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	end = func() { <-d.slots }
	for wait := d.spend(); wait > 0; wait = d.spend() {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			continue
		case l = <-freed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		timer.Stop()
		end()
		return l, nil, err
	}
	return nil, end, nil
}

// spend takes one dial from what is left, or returns how long it is until there is one.
func (d *dialBudget) spend() (wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	next := d.next
	if earliest := now.Add(-dialBurst * dialGap); next.Before(earliest) {
		next = earliest
	}
	if next = next.Add(dialGap); next.After(now) {
		return next.Sub(now)
	}
	d.next = next
	return 0
}
