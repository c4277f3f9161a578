package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// trial is what a publication has met with so far.
type trial struct {
	c     *Client
	once  bool      // an order that was given is not given again: it is a question, whose answer would be another
	tries int       // that have failed in a row without any news
	heard bool      // a node has answered
	given bool      // the order was given, and nobody knows what has come of it
	took  bool      // the last node has taken the order: what it says then is invalid was not cut off
	left  int64     // bytes that were missing at least; -1 = unknown
	news  time.Time // when something was heard last that was not known before
	shown time.Time // when a node has shown last that it is at work on the order
}

const (
	firstTries = 5 // before a node has answered
	patience   = 30 * time.Second
)

// passing are the errors of nodes that may be others the next time: of a node that stops or was started again, of a farm
// that changes its leader. KindInvalid may be of a stream that was cut off.
var passing = []string{order.KindNoUpload, order.KindOverloaded, order.KindNoQuorum, order.KindStopping,
	order.KindUncertain, order.KindInvalid}

// passes reports whether what ended with an error may go better another time.
func passes(err error) bool {
	if e, ok := errors.AsType[*order.ReleaseError](err); ok {
		return slices.Contains(passing, e.Kind)
	}
	return !errors.Is(err, errSource)
}

// settled reports whether an error is a node's word of what has become of the order: one that has taken it. That
// another epoch is in force a node says before that, when it has looked for the key.
func (t *trial) settled(err error) bool {
	e, said := errors.AsType[*order.ReleaseError](err)
	return said && (e.Kind == order.KindConflict || t.took && e.Final())
}

// isUncertain reports whether an order that was given may have been carried out all the same.
func isUncertain(err error) bool {
	e, ok := errors.AsType[*order.ReleaseError](err)
	return errors.Is(err, ErrInterrupted) || ok && e.Kind == order.KindUncertain
}

// uploading notes that so many bytes were missing at a node; -1 = it has not answered.
func (t *trial) uploading(missing int64) {
	t.heard = t.heard || missing >= 0
	if missing >= 0 && (t.left < 0 || missing < t.left) {
		t.left = missing
		t.progress()
	}
}

// progress notes that there is news.
func (t *trial) progress() { t.news, t.tries = time.Now(), 0 }

// line notes what a node says while it carries the order out. That it has begun, or is still there, is news only if
// it does not say in the end that it could do nothing: a farm without a leader would be asked for ever.
func (t *trial) line(l order.RolloutLine) {
	if t.shown = time.Now(); l.Progress != nil {
		t.progress()
	}
}

// again waits a moment after an error, and reports whether to try again.
func (t *trial) again(ctx context.Context, err error) bool {
	if t.settled(err) || errors.Is(err, errSource) || ctx.Err() != nil || t.given && t.once {
		return false
	}
	if !t.given && !passes(err) {
		return false
	}
	e, said := errors.AsType[*order.ReleaseError](err)
	t.heard = t.heard || said
	if t.tries++; isUncertain(err) && t.shown.After(t.news) {
		t.progress()
		t.news = t.shown
	}
	counts := !t.heard || said && e.Kind == order.KindInvalid
	if counts && t.tries >= firstTries || time.Since(t.news) >= cmp.Or(t.c.Patience, patience) {
		return false
	}
	if t.c.Trouble != nil {
		t.c.Trouble(err)
	}
	partly := said && (e.Kind == order.KindNoUpload || e.Kind == order.KindInvalid) // that node goes on with what it has
	if t.c.Elsewhere != nil && (said && !partly || errors.Is(err, order.ErrSilent)) {
		t.c.Elsewhere()
	}
	wait := cmp.Or(t.c.Again, time.Second)
	if e, ok := errors.AsType[*passingError](err); ok {
		wait = max(wait, e.wait)
	}
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

// verdict returns the error that a publication ends with: what was said last does not count if the order may have been
// carried out before, and whoever said it does not know.
func (t *trial) verdict(err error) error {
	if err == nil || !t.given || t.settled(err) || isUncertain(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}
