package forward

import (
	"net/http"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/limit"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
)

// serveHere answers a client's request by this node's handler; by a peer's, if there is too much to do here,
// or the handler does not want it or fails.
func (g *Gate) serveHere(w http.ResponseWriter, r *http.Request) {
	p := passOf(r.Context())
	lasts := !p.asksNo.upgrade && asksForTunnel(r) || !p.asksNo.events && asksForEvents(r)
	if !g.limit.TryEnter(limit.Normal, &p.slot) {
		if !lasts {
			kept, served := g.spill(w, r)
			defer kept.Release()
			if served {
				return
			}
		}
		if err := g.limit.Enter(r.Context(), limit.Normal, &p.slot); err != nil {
			leaveUnread(w, r)
			ServeProblem(w, r, problemBusy)
			return
		}
	}
	defer p.slot.Leave()
	p.run.movable = !lasts
	p.sent = sentIn(r, p.outermost)
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

// spill gives a request to a peer that has room to spare, if there is one that takes it. If none does, r has the body
// that was read to be sent, and kept is to be released when it was read again; nil = nothing was read.
func (g *Gate) spill(w http.ResponseWriter, r *http.Request) (kept *lane.Upload, served bool) {
	if !g.hop.set.Spare() {
		return nil, false
	}
	defer g.elsewhere(passOf(r.Context()), r)()
	up := g.bodies.Upload(r)
	over := up
	defer func() { over.Release() }()
	d := g.newDispatch(w, r, up)
	d.idle = true
	v := g.hop.send(d)
	if v.Do == retry.Fail && v.Status == http.StatusServiceUnavailable && d.a.Upload.Whole() {
		restore(r, d.a.Upload)
		w.Header().Set(idHeader, d.a.Facts.ID)
		over = nil
		return up, false
	}
	g.finish(d, v)
	return nil, true
}

// restore gives r the body back that was read to be sent.
func restore(r *http.Request, up *lane.Upload) {
	if body := up.Reader(); body != nil && up.Kept() {
		r.Body = body
	}
}
