package forward

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
)

// ownEnd is what the handler of this node came to that had the request first.
type ownEnd struct {
	upload   *lane.Upload
	kept     *keeper // its answer
	panicked any     // what it panicked with; nil = it did not
}

// serveFailover runs the handler of a route with Failover: if it fails, a peer is asked.
func (g *Gate) serveFailover(w http.ResponseWriter, r *http.Request, p *pass) {
	own := &ownEnd{upload: g.bodies.Upload(r),
		kept: newKeeper(w, func(status int) bool { return status >= http.StatusInternalServerError })}
	defer own.upload.Release()
	restore(r, own.upload)
	p.run.watch(r)
	r.Header = r.Header.Clone() // what the handler changes in it is not what a peer gets
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
	r = p.again(r)
	defer g.elsewhere(p, r)()
	up := (*lane.Upload)(nil)
	if own == nil {
		up, own = g.bodies.Upload(r), &ownEnd{}
		defer up.Release()
	} else if up = own.upload; !up.Kept() && !p.run.untouched() {
		up.Touch()
	}
	d := g.newDispatch(w, r, up)
	d.c.Own, d.c.Attempts, d.c.Wrote = true, 1, p.run.wrote.Load()
	state, end := attempt.Started, retry.Failed
	if p.run.declined.Load() && own.panicked == nil && !own.kept.keeps() {
		state, end = attempt.Refused, retry.Denied
	}
	v := g.hop.conclude(d, g.cfg.ID, state, end, own.panicked != nil)
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
