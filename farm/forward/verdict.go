package forward

import (
	"context"
	"net/http"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
)

// verdict says what is done after an attempt at p. keep has its answer, if that was kept back.
func (h *hop) verdict(d *dispatch, p *peer, keep *keeper) retry.Verdict {
	out := d.last
	state, end := out.State, endOf(d.r.Context(), out)
	switch {
	case out.Err == nil && !keep.keeps():
		return retry.Verdict{Do: retry.Deliver}
	case out.BodyFailed || out.Unreadable || out.Aborted:
		return retry.Verdict{Do: retry.Fail, Status: http.StatusBadGateway}
	case out.Err == nil:
		state, end, d.c.Status = attempt.Answered, retry.Replied, keep.status
	case keep.keeps():
		state = attempt.Answered // nobody has seen anything of it
	}
	if d.idle && state == attempt.Refused {
		return retry.Verdict{Do: retry.Fail, Status: http.StatusServiceUnavailable}
	}
	d.c.Wrote = d.c.Wrote || out.Marked || !d.tells() && !state.Undone()
	broke := end == retry.Lost || end == retry.Failed
	v := h.conclude(d, p.id, state, end, broke && (state == attempt.Sent || state == attempt.Started))
	if v.Do == retry.Deliver && keep.keeps() {
		if err := keep.release(); err != nil {
			d.last.Err, d.last.GaveUp = err, true
		}
	}
	return v
}

// conclude asks the rules what is done after an attempt at the node with this ID, a peer or this one, and
// takes down what it means for those to come. fatal says that the request may have brought the node down.
func (h *hop) conclude(d *dispatch, id string, state attempt.State, end retry.End, fatal bool) retry.Verdict {
	d.c.Suspect = h.suspects.Other(d.r.Method, d.kind, id)
	if fatal {
		h.suspects.Blame(d.r.Method, d.kind, id)
	}
	d.c.Others, d.c.Credit = h.set.Others(d.tried) && !expired(d.r.Context()), true
	v := d.decide(state, end)
	if v.Pays && end != retry.Slow && !h.budget.Take() { // see limit
		d.c.Credit = false
		v = d.decide(state, end)
	}
	d.c.Unknown = d.c.Unknown || !state.Undone()
	if v.Do != retry.Retry {
		return v
	}
	d.c.Own = false // the next one is at a peer
	switch {
	case state.Undone():
		d.c.Moves++
	case state != attempt.Answered:
		d.c.Repeats++
	}
	return v
}

// decide asks the rules, with what is known of the request.
func (d *dispatch) decide(state attempt.State, end retry.End) retry.Verdict {
	c := d.c
	c.State, c.End = state, end
	c.Body = d.body()
	c.Kept = d.kept != nil
	v := retry.Decide(c)
	if v.Do == retry.Wait { // it could be replaced, and is given up already
		v = retry.Verdict{Do: retry.Fail, Status: http.StatusGatewayTimeout}
	}
	return v
}

// body says what there is of the request's body.
func (d *dispatch) body() retry.Body {
	if !d.a.Upload.Whole() {
		return retry.Parted
	}
	return retry.Whole
}

// endOf says what an attempt has ended with.
func endOf(ctx context.Context, out lane.Outcome) retry.End {
	switch {
	case out.Err == errSlow:
		return retry.Slow
	case out.GaveUp && expired(ctx):
		return retry.Late
	case out.GaveUp:
		return retry.Gone
	case out.State == attempt.Refused && out.Refusal.Reason == refusedLoop:
		return retry.Loop
	case out.State == attempt.Refused:
		return retry.Denied
	case out.Panicked:
		return retry.Failed
	}
	return retry.Lost
}

// startOver forgets what has been tried, when it is time for another look at the peers.
func (d *dispatch) startOver() { d.tried, d.c.Attempts, d.c.Moves = nil, 0, 0 }

// retried is called before the next attempt: the answer of this one is kept, or the first one's is.
func (d *dispatch) retried(keep *keeper) {
	if !keep.keeps() {
		return
	}
	keep.aside()
	if d.kept == nil {
		d.kept = keep
	}
}
