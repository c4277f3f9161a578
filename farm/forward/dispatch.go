package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/pick"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
)

// dispatch is one client's request on its way to peers. It is one allocation, with all that an attempt needs.
type dispatch struct {
	w http.ResponseWriter
	r *http.Request
	a lane.Attempt

	facts lane.Facts // a.Facts
	close bool       // the client's connection is closed behind the answer

	idle  bool   // only a peer with room to spare may have it, and only one
	kind  string // its route's pattern or its path: by which one that brings nodes down is known
	c     retry.Case
	tried []*pick.Peer
	three [retry.MaxAttempts]*pick.Peer // what tried uses
	kept  *keeper                       // the first answer, kept in case there is none better; nil = none
	last  lane.Outcome
	hints interims

	at    *peer         // that has it now
	began time.Time     // of this attempt
	head  time.Duration // until the head of the answer; 0 = there is none
	left  bool          // it is a stream, and counts no more
}

// newDispatch returns what is known of a request before its first attempt.
func (g *Gate) newDispatch(w http.ResponseWriter, r *http.Request, up *lane.Upload) *dispatch {
	info := FromContext(r.Context())
	d := &dispatch{w: w, r: r, kind: r.URL.Path, close: w.Header().Get("Connection") == "close",
		facts: lane.Facts{Origin: g.cfg.ID, Via: g.cfg.Node, ID: info.ID, Scheme: info.Scheme},
		c:     retry.Case{Method: r.Method, Upgrade: len(r.Header["Upgrade"]) > 0}}
	d.a = lane.Attempt{Facts: &d.facts, Upload: up, BeforeHeader: d.beforeHeader, Deliver: d.answer,
		Interim: d.interim}
	d.tried = d.three[:0]
	if e, ok := g.routes.Match(r); ok {
		d.kind, d.c.Route = e.Pattern, e.Value
	}
	return d
}

// send gives the request to one peer after the other as long as the rules for retries say so (DESIGN.md), and
// returns what is to be done then. What the last attempt came to is in d.last; its Err is nil if the client
// has the whole answer.
func (h *hop) send(d *dispatch) retry.Verdict {
	h.budget.Request()
	for {
		fresh := h.news() // before the choice, so that no change is missed
		p := h.next(d)
		if p == nil {
			v := d.decide(attempt.NotSent, retry.Lost)
			if v.Status != http.StatusServiceUnavailable || d.idle || !h.hold(d.r.Context(), fresh, d.c.Attempts > 0) {
				return v
			}
			d.again()
			continue
		}
		keep := h.attempt(d, p)
		v, over := h.judge(d, p, keep)
		if over || v.Do != retry.Retry {
			if v.Status == http.StatusServiceUnavailable && !d.idle && h.hold(d.r.Context(), fresh, true) {
				d.again()
				continue
			}
			return v
		}
		if v.Pause && !pause(d.r.Context(), retry.Backoff(d.c.Repeats, rand.Float64())) {
			return retry.Verdict{Do: retry.Cancel}
		}
		d.retried(keep)
	}
}

// next chooses the peer for the next attempt, nil if there is none.
func (h *hop) next(d *dispatch) *peer {
	p := h.set.Pick(pick.Want{Tried: d.tried, Safe: d.c.ReplaySafe(), Idle: d.idle})
	if p == nil {
		return nil
	}
	d.tried = append(d.tried, p)
	return p.Of().(*peer)
}

// attempt makes one attempt. It returns the answer if that was kept back.
func (h *hop) attempt(d *dispatch, p *peer) *keeper {
	d.c.Attempts++
	d.a.Facts.Attempt++
	d.a.Facts.Marks = d.c.ReplaySafe() && d.a.Upload.Inline()
	w, keep := d.w, (*keeper)(nil)
	if len(d.c.Route.RetryOn) > 0 && d.c.ReplaySafe() {
		keep = newKeeper(w, func(status int) bool { return slices.Contains(d.c.Route.RetryOn, status) })
		w = keep
	}
	d.hints.again()
	d.at, d.began, d.head, d.left = p, time.Now(), 0, false
	if d.c.Upgrade {
		d.leave()
	}
	delete(w.Header(), idHeader) // the peer's answer has it, unless the handler removes it
	d.last = p.do(w, d.r, &d.a)
	d.report()
	return keep
}

// beforeHeader is called before the head of the answer goes to the client.
func (d *dispatch) beforeHeader(status int, duplex bool) {
	d.head = time.Since(d.began)
	leaveBody(d.w, d.r, d.a.Upload, duplex)
	if d.close && status != http.StatusSwitchingProtocols {
		d.w.Header().Set("Connection", "close") // whatever the handler says
	}
}

// interim is told of a 1xx answer, and reports whether it is for the client.
func (d *dispatch) interim(status int, header http.Header) bool { return d.hints.fresh(status, header) }

// judge says what an attempt means for the peer, and what is done next; over, that the request has come to
// its end.
func (h *hop) judge(d *dispatch, p *peer, keep *keeper) (v retry.Verdict, over bool) {
	out := d.last
	d.c.Wrote = d.c.Wrote || out.Marked
	state, end := out.State, endOf(d.r.Context(), out)
	if out.Err == nil {
		if !keep.keeps() {
			return retry.Verdict{Do: retry.Deliver}, true
		}
		state, end, d.c.Status = attempt.Answered, retry.Replied, keep.status
	} else if keep.keeps() {
		state = attempt.Answered // nobody has seen anything of it
	}
	if out.BodyFailed || out.Unreadable || out.Aborted {
		return retry.Verdict{Do: retry.Fail, Status: http.StatusBadGateway}, true
	}
	if d.idle && state == attempt.Refused {
		return retry.Verdict{Do: retry.Fail, Status: http.StatusServiceUnavailable}, true
	}
	if !d.a.Facts.Marks || p.old.Load() {
		d.c.Wrote = d.c.Wrote || !state.Undone() // nobody says that it did not
	}
	d.c.Suspect = h.suspects.Other(d.r.Method, d.kind, p.id)
	if (state == attempt.Sent || state == attempt.Started) && (end == retry.Lost || end == retry.Failed) {
		h.suspects.Blame(d.r.Method, d.kind, p.id)
	}
	d.c.Others, d.c.Credit = h.set.Others(d.tried), true
	v = d.decide(state, end)
	if v.Pays && !h.budget.Take() {
		d.c.Credit = false
		v = d.decide(state, end)
	}
	d.c.Unknown = d.c.Unknown || state == attempt.Sent || state == attempt.Started || state == attempt.Answered
	if v.Do == retry.Deliver && keep.keeps() {
		if err := keep.release(); err != nil {
			d.last.Err, d.last.GaveUp = err, true
		}
	}
	if v.Do == retry.Retry {
		if state.Undone() {
			d.c.Moves++
		} else if state != attempt.Answered {
			d.c.Repeats++
		}
	}
	return v, false
}

// again forgets what has been tried, when it is time for another look at the peers.
func (d *dispatch) again() { d.tried, d.c.Attempts, d.c.Moves = nil, 0, 0 }

// decide asks the rules, with what is known of the request.
func (d *dispatch) decide(state attempt.State, end retry.End) retry.Verdict {
	c := d.c
	c.State, c.End = state, end
	c.Body = retry.Whole
	if !d.a.Upload.Whole() {
		c.Body = retry.Parted
	}
	c.Kept = d.kept != nil
	return retry.Decide(c)
}

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

// endOf says what an attempt has ended with.
func endOf(ctx context.Context, out lane.Outcome) retry.End {
	switch {
	case out.GaveUp && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
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

// pause waits, and reports false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// answer is told of the head of an answer, and has it delivered.
func (d *dispatch) answer(status int, header http.Header) bool {
	if status < http.StatusInternalServerError {
		d.at.pick.Heard()
	}
	if t := header["Content-Type"]; len(t) > 0 && strings.HasPrefix(t[0], "text/event-stream") {
		d.leave()
	}
	return true
}

// leave has the request count no more among those that its peer has.
func (d *dispatch) leave() {
	if !d.left {
		d.left = true
		d.at.pick.Leave()
	}
}

// report says what the attempt was for its peer.
func (d *dispatch) report() {
	out, p := d.last, d.at.pick
	if out.HasLoad {
		p.Report(int(out.Load.Running), int(out.Load.Limit))
	}
	res := pick.Result{Outcome: pick.Poor, Latency: d.head, Left: d.left}
	switch {
	case out.Err == nil && out.Status < http.StatusInternalServerError:
		res.Outcome = pick.Good
	case out.Err == nil:
	case out.GaveUp, out.BodyFailed, out.Unreadable, out.Aborted:
		res.Outcome = pick.Neutral
	case out.State == attempt.Refused:
		res.Outcome, res.RetryAfter = pick.Refused, out.Refusal.RetryAfter
	case out.State <= attempt.Sent:
		res.Outcome = pick.Bad
	}
	p.Done(res)
}
