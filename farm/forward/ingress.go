package forward

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/limit"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/texthop"
	"github.com/seed48eb2e21/webfarm/internal/reqcopy"
)

// ingress takes the requests that peers forward.
type ingress struct {
	lanes *lane.Server
	text  *http.Server // for programs up to v0.1

	lanesFrom, textFrom net.Listener
}

func (g *Gate) newIngress() *ingress {
	text := &texthop.Server{
		Enter: func(f texthop.Facts) (string, func()) {
			g.handlers.enter() // before asking for the stage: a drain waits for whatever is not refused
			why := g.refusal(f.Origin)
			if why != "" {
				g.handlers.leave()
			}
			return why, g.handlers.leave
		},
		Handler: func(w http.ResponseWriter, r *http.Request, f texthop.Facts) {
			g.servePeer(w, r, g.peerPass(r, &lane.Facts{Origin: f.Origin, Via: f.Via, ID: f.ID, Scheme: f.Scheme}))
		},
		BaseContext: g.cfg.BaseContext, ConnContext: g.cfg.ConnContext, Logger: g.cfg.Logger,
	}
	in := &ingress{text: text.HTTP(), textFrom: g.peers.Listener(ProtoText), lanesFrom: g.peers.Listener(Proto)}
	in.lanes = &lane.Server{Handle: g.handlePeer, Ended: g.handlers.leave, Load: g.load, Logger: g.cfg.Logger,
		PeerID: cluster.PeerID, Context: func(c net.Conn) context.Context { return g.peerContext(in, c) }}
	return in
}

// serve answers peers until close.
func (in *ingress) serve(run func(func())) {
	run(func() { in.text.Serve(in.textFrom) })
	run(func() { in.lanes.Serve(in.lanesFrom) })
}

// textTime is how long close waits for answers that net/http has yet to send, of handlers that have returned.
const textTime = 100 * time.Millisecond

func (in *ingress) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), textTime)
	defer cancel()
	in.text.Shutdown(ctx)
	err := in.text.Close()
	in.lanesFrom.Close()
	in.lanes.Close()
	return err
}

// peerContext returns the context of the requests of one connection, as http.Server makes it.
func (g *Gate) peerContext(in *ingress, c net.Conn) context.Context {
	ctx := context.Background()
	if g.cfg.BaseContext != nil {
		ctx = g.cfg.BaseContext(in.lanesFrom)
	}
	ctx = context.WithValue(ctx, http.ServerContextKey, in.text)
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, c.LocalAddr())
	if g.cfg.ConnContext != nil {
		ctx = g.cfg.ConnContext(ctx, c)
	}
	return ctx
}

func (g *Gate) load() lane.Load {
	l := g.limit.Load()
	return lane.Load{Running: uint32(l.Running), Limit: uint32(l.Limit)}
}

// handlePeer answers one request that a peer forwarded: it is served here or refused, and never forwarded
// again. A drain waits for whatever is not refused, until its answer has left: see lane.Server.Ended.
func (g *Gate) handlePeer(w *lane.Writer, r *http.Request, f *lane.Facts) {
	g.handlers.enter() // before asking for the stage
	if why := g.refusal(f.Origin); why != "" {
		w.Refuse(lane.Refusal{Reason: why})
		return
	}
	p := g.peerPass(r, f)
	if !g.limit.TryEnter(limit.Forwarded, &p.slot) { // the node that has it from its client asks another one
		w.Refuse(lane.Refusal{Reason: "too much to do", RetryAfter: busyTime, Busy: true})
		return
	}
	p.from, p.asks = w, asksForTunnel(r) || asksForEvents(r)
	w.Watch = p
	p.run.movable, p.run.mark = !p.asks, w.Mark
	g.servePeer(w, r, p)
	if p.run.declined.Load() {
		w.Refuse(lane.Refusal{Reason: "declined"})
	}
}

// busyTime is how long a node that has too much to do wants to be left alone.
const busyTime = 100 * time.Millisecond

// peerPass returns the pass of a request that a peer forwarded. The peer may be an older program, or one with other
// Config.Upgrades: what this node's handlers may switch to is decided here.
func (g *Gate) peerPass(r *http.Request, f *lane.Facts) *pass {
	if lines, ok := r.Header["Upgrade"]; ok {
		g.keepUpgrades(r.Header, lines)
	}
	info := Info{ID: f.ID, Node: g.cfg.Node, Via: f.Via, Scheme: f.Scheme, Trace: settleTrace(r.Header)}
	return &pass{gate: g, Info: info}
}

// servePeer runs the application for a peer's request.
func (g *Gate) servePeer(w http.ResponseWriter, r *http.Request, p *pass) {
	defer p.slot.Leave()
	w.Header().Set(idHeader, p.ID)
	r.Header.Set(idHeader, p.ID)
	g.show(w.Header(), p.Info)
	reqcopy.Share(r)
	p.Context = r.Context()
	c := r.WithContext(p)
	defer reqcopy.Return(r, c)
	if p.run.movable {
		p.run.watch(c)
	}
	(*g.local.Load()).ServeHTTP(w, c)
}

// refusedLoop is why a node refuses what it has sent itself.
const refusedLoop = "loop"

// refusal returns why a request that comes from the node of this ID is not started here, or "".
func (g *Gate) refusal(origin string) string {
	switch s := stage(g.stage.Load()); {
	case origin == g.cfg.ID:
		return refusedLoop
	case s != open:
		return s.String()
	case g.cfg.Role != cluster.Ordinary || g.local.Load() == nil:
		return "no application"
	}
	return ""
}
