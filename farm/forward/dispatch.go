package forward

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/pick"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
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
	three [retry.MaxAttempts]*pick.Peer    // what tried uses
	came  [retry.MaxAttempts]attempt.State // how far the attempts at tried have come
	kept  *keeper                          // the first answer, kept in case there is none better; nil = none
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
	d.a = lane.Attempt{Facts: &d.facts, Upload: up, BeforeHeader: d.beforeHeader, Interim: d.hints.fresh,
		Laster: d}
	passOf(r.Context()).passedOn(&d.a)
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
			d.startOver()
			continue
		}
		keep := h.attempt(d, p)
		v := h.verdict(d, p, keep)
		if v.Do != retry.Retry {
			if v.Status == http.StatusServiceUnavailable && !d.idle && h.hold(d.r.Context(), fresh, true) {
				d.startOver()
				continue
			}
			return v
		}
		d.retried(keep)
		if v.Pause && !sleep.For(d.r.Context(), retry.Backoff(d.c.Repeats, rand.Float64())) {
			if expired(d.r.Context()) {
				return d.decide(d.last.State, retry.Late)
			}
			return retry.Verdict{Do: retry.Cancel}
		}
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
	d.a.Facts.Marks = d.c.ReplaySafe() && d.a.Upload.Kept()
	w, keep := d.w, (*keeper)(nil)
	if len(d.c.Route.RetryOn) > 0 && d.c.ReplaySafe() {
		keep = newKeeper(w, func(status int) bool { return slices.Contains(d.c.Route.RetryOn, status) })
		w = keep
	}
	d.hints.nextAttempt()
	d.at, d.began, d.head, d.left = p, time.Now(), 0, false
	if d.c.Upgrade {
		d.leave()
	}
	delete(w.Header(), idHeader) // the peer's answer has it, unless the handler removes it
	stop := h.limit(d)
	d.last = p.do(w, d.r, &d.a)
	stop()
	d.came[len(d.tried)-1] = d.last.State
	d.report()
	return keep
}

// tells reports whether the peer says so before the handler makes a change that must not be made twice.
func (d *dispatch) tells() bool { return d.a.Facts.Marks && !d.at.old.Load() }

// beforeHeader is called before the head of the answer goes to the client.
func (d *dispatch) beforeHeader(status int, duplex bool) {
	d.head = time.Since(d.began)
	if status < http.StatusInternalServerError {
		d.at.pick.Heard()
	}
	if areEvents(d.w.Header()) {
		d.leave()
	}
	leaveBody(d.w, d.r, d.a.Upload, duplex)
	if d.close && status != http.StatusSwitchingProtocols {
		d.w.Header().Set("Connection", "close") // whatever the handler says
	}
}

// Lasts is told that the handler goes on until somebody ends it.
func (d *dispatch) Lasts() {
	d.leave()
	passOf(d.r.Context()).asStream()
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
	case out.Err == errSlow: // nothing good
	case out.GaveUp && out.State <= attempt.Started && expired(d.r.Context()):
	case out.GaveUp, out.BodyFailed, out.Unreadable, out.Aborted:
		res.Outcome = pick.Neutral
	case out.State == attempt.Refused:
		res.Outcome, res.RetryAfter = pick.Refused, out.Refusal.RetryAfter
	case out.State <= attempt.Sent:
		res.Outcome = pick.Bad
	}
	switch {
	case d.head > 0 && out.Status < http.StatusInternalServerError: // who fails may do so at once
		d.c.Route.Tail.Add(d.head)
	case out.Err == errSlow:
		d.c.Route.Tail.Add(time.Since(d.began))
	}
	p.Done(res)
}
