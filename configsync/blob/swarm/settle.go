package swarm

import (
	"errors"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// settle takes in how it went with one blob.
func (j *job) settle(e event) {
	it := e.item
	it.active = false
	if e.got >= worthwhile || e.err == nil {
		j.patience.something()
		e.slot.interval = soonest
	}
	switch {
	case e.err == nil:
		j.finished(it)
		return
	case errors.Is(e.err, errMixed):
		it.whole = true
	case errors.Is(e.err, blob.ErrCorrupt), errors.Is(e.err, errHasNot):
		it.wrong |= e.slot.bit
	case errors.Is(e.err, errRefused):
		j.later(it, e)
		j.slots.hurry()
	case j.patience.localFault(e.err):
	default:
		it.failed |= e.slot.bit
	}
	e.slot.said = e.err
	j.parts.keep(it, e.part)
	if j.patience.failed != nil {
		j.parts.forget(it)
	}
	j.slots.rewind() // any of them may go on with it
}

// finished takes in that a blob has come.
func (j *job) finished(it *item) {
	due := j.lacking.came(it)
	j.parts.forget(it)
	j.patience.starved = nil
	if due {
		j.arrange()
	}
}

// arrange looks again at what is lacking, for all peers.
func (j *job) arrange() {
	j.lacking.arrange()
	j.slots.rewind()
}

// later notes that a peer which has the blob does not send it now. It lives, so that there is something to
// wait for, but not for ever.
func (j *job) later(it *item, e event) {
	now := time.Now()
	switch {
	case errors.Is(e.err, errSpent):
		it.spent |= e.slot.bit
		if it.since.IsZero() {
			it.since = now
		}
		if it.first.IsZero() {
			it.first = now
		}
		if now.Sub(it.since) > j.f.insist {
			return
		}
	case errors.Is(e.err, errBusy): // who gets it now will have it
		it.busy |= e.slot.bit
		it.since = time.Time{}
	default:
		it.busy |= e.slot.bit
		return
	}
	j.patience.moved = now
}
