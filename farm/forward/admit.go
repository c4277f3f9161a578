package forward

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/limit"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
)

// leastRunning is how many handlers may run for each processor whatever happens, where Config.MaxRunning does
// not say.
const leastRunning = 256

func newLimiter(most int) *limit.Limiter {
	return limit.New(most, leastRunning*runtime.GOMAXPROCS(0))
}

// watchProcessors has the limit follow what the processors can do.
func (g *Gate) watchProcessors() {
	if g.cfg.MaxRunning != 0 {
		return
	}
	var m limit.Meter
	tick := time.NewTicker(limit.Step)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-g.done.Done():
			return
		}
		if l := g.limit.Load(); l.Limit == 0 && l.Running < leastRunning {
			continue // there is nothing that could be too much
		}
		g.limit.Observe(m.Read())
	}
}

// serveHere answers a client's request by this node's handler; by a peer's, if there is too much to do here,
// or the handler does not want it or fails.
func (g *Gate) serveHere(w http.ResponseWriter, r *http.Request) {
	p, lasts := passOf(r.Context()), asksForTunnel(r) || asksForEvents(r)
	if !g.limit.TryEnter(limit.Normal, &p.slot) {
		if !lasts && g.spill(w, r) {
			return
		}
		if err := g.limit.Enter(r.Context(), limit.Normal, &p.slot); err != nil {
			ServeProblem(w, r, problemBusy)
			return
		}
	}
	defer p.slot.Leave()
	p.run.movable = !lasts
	if e, ok := g.routes.Match(r); ok && e.Value.Failover && !lasts {
		g.serveFailover(w, r, p)
		return
	}
	body := r.Body
	p.run.watch(r)
	g.serveLocal(w, r)
	if p.run.declined.Load() {
		r.Body = body
		g.moveOn(w, r, p, nil)
	}
}

// spill gives a request to a peer that has room to spare, if there is one that takes it.
func (g *Gate) spill(w http.ResponseWriter, r *http.Request) bool {
	if !g.hop.set.Spare() {
		return false
	}
	d := g.newDispatch(w, r, lane.NewUpload(r))
	d.idle = true
	v := g.hop.send(d)
	if v.Do == retry.Fail && v.Status == http.StatusServiceUnavailable && d.a.Upload.Whole() {
		restore(r, d.a.Upload)
		w.Header().Set(idHeader, d.a.Facts.ID)
		return false
	}
	g.finish(d, v)
	return true
}

// restore gives r the body back that was read to be sent.
func restore(r *http.Request, up *lane.Upload) {
	if body := up.Reader(); body != nil && up.Kept() {
		r.Body = body
	}
}

// ownEnd is what the handler of this node came to that had the request first.
type ownEnd struct {
	upload   *lane.Upload
	kept     *keeper // its answer
	panicked any     // what it panicked with; nil = it did not
}

// serveFailover runs the handler of a route with Failover: if it fails, a peer is asked.
func (g *Gate) serveFailover(w http.ResponseWriter, r *http.Request, p *pass) {
	own := &ownEnd{upload: lane.NewUpload(r),
		kept: newKeeper(w, func(status int) bool { return status >= http.StatusInternalServerError })}
	restore(r, own.upload)
	p.run.watch(r)
	own.panicked = g.runCaught(own.kept, r)
	switch {
	case own.kept.passed && own.panicked != nil, own.panicked == http.ErrAbortHandler:
		panic(own.panicked)
	case own.panicked != nil, own.kept.keeps():
		g.moveOn(w, r, p, own)
	case p.run.declined.Load() && !own.kept.passed:
		g.moveOn(w, r, p, own)
	}
}

// runCaught runs the handler and returns what it panicked with.
func (g *Gate) runCaught(w http.ResponseWriter, r *http.Request) (value any) {
	defer func() {
		if value = recover(); value != nil && value != http.ErrAbortHandler {
			g.cfg.Logger.Error("handler panicked", "request", FromContext(r.Context()).ID, "panic", fmt.Sprint(value),
				"stack", string(debug.Stack()))
		}
	}()
	g.serveLocal(w, r)
	return nil
}

// moveOn gives a request to a peer that the handler of this node has declined, or, with own, has failed with,
// if the rules allow it.
func (g *Gate) moveOn(w http.ResponseWriter, r *http.Request, p *pass, own *ownEnd) {
	p.slot.Leave()
	up := (*lane.Upload)(nil)
	if own == nil {
		up, own = lane.NewUpload(r), &ownEnd{}
	} else if up = own.upload; !up.Kept() && !p.run.untouched() {
		up.Touch()
	}
	d := g.newDispatch(w, r, up)
	d.c.Own, d.c.Attempts, d.c.Others, d.c.Credit, d.c.Wrote = true, 1, g.hop.set.Others(nil), true, p.run.wrote.Load()
	state, end := attempt.Started, retry.Failed
	if p.run.declined.Load() && own.panicked == nil && !own.kept.keeps() {
		state, end = attempt.Refused, retry.Denied
	}
	v := g.hop.decideOwn(d, state, end, own.panicked != nil)
	if v.Do == retry.Retry {
		if own.kept.keeps() {
			d.retried(own.kept)
		}
		v = g.hop.send(d)
	}
	switch failed := v.Do == retry.Fail || v.Do == retry.Deliver && d.c.Own; {
	case own.panicked != nil && failed && d.last.State != attempt.Committed:
		panic(http.ErrAbortHandler) // as if it had not been recovered; it is in the log
	case v.Do == retry.Deliver && d.c.Own:
		own.kept.release()
	default:
		g.finish(d, v)
	}
}

// decideOwn asks the rules what becomes of a request that had a handler of this node.
func (h *hop) decideOwn(d *dispatch, state attempt.State, end retry.End, panicked bool) retry.Verdict {
	d.c.Suspect = h.suspects.Other(d.r.Method, d.kind, h.cfg.ID)
	if panicked {
		h.suspects.Blame(d.r.Method, d.kind, h.cfg.ID)
	}
	v := d.decide(state, end)
	if v.Pays && !h.budget.Take() {
		d.c.Credit = false
		v = d.decide(state, end)
	}
	if v.Do != retry.Retry {
		return v
	}
	d.c.Own = false // from here on it is about peers
	if state == attempt.Refused {
		d.c.Moves++
	} else {
		d.c.Repeats++
		d.c.Unknown = true
	}
	return v
}
