package forward

import (
	"errors"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
)

// errSlow is why an attempt is given up whose answer has not begun within the time for an attempt.
var errSlow = errors.New("the node took too long to begin its answer")

// limit gives the attempt that begins up once its time is over, if another peer may have the request. What
// cannot be replaced is waited for.
func (h *hop) limit(d *dispatch) (stop func()) {
	most := d.c.Route.TryTimeout
	if most == 0 {
		most = d.c.Route.Tail.Limit()
	}
	if most <= 0 || !d.c.ReplaySafe() || !d.tells() {
		return func() {}
	}
	number := d.a.Facts.Attempt
	c, tried, at := d.c, d.tried, d.at.id // what may be another's when the time is over
	timer := time.AfterFunc(most, func() {
		c.State, c.End, c.Body = attempt.Started, retry.Slow, d.body()
		c.Suspect = h.suspects.Other(d.r.Method, d.kind, at)
		c.Others, c.Credit = h.set.Others(tried), true
		if retry.Decide(c).Do == retry.Retry && h.budget.Take() { // verdict does not take it again
			d.a.GiveUp(number, errSlow)
		}
	})
	return func() { timer.Stop() }
}
