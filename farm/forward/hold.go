package forward

import (
	"context"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// maxHeld is how many requests a node keeps at a time. More are told at once that the site is starting.
const maxHeld = 1024

// askAgainTime is when a request that is held tries peers again that have refused it.
const askAgainTime = time.Second

// hold keeps a client's request that this node, which has just started, can neither serve nor give to a peer.
// It returns true when it is worth another look at the peers: fresh says that others may be chosen now, and a
// peer that was tried may be back. It returns false when this node can serve by itself, or stops, when the
// client has gone, and when it has lasted long enough. Nothing of the request's body has been read.
func (g *Gate) hold(ctx context.Context, fresh <-chan struct{}, tried bool) bool {
	left := time.Until(g.holdUntil)
	if left <= 0 || !g.holds() {
		return false
	}
	if g.held.Add(1) > maxHeld {
		g.held.Add(-1)
		return false
	}
	defer g.held.Add(-1)
	if tried {
		left = min(left, askAgainTime)
	}
	opened := g.opened
	if g.cfg.Role == cluster.Front {
		opened = nil // it never serves by itself
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-fresh:
		return true
	case <-timer.C:
		return tried
	case <-opened:
	case <-g.drainBegun():
	case <-ctx.Done():
	}
	return false
}

// holds reports whether this node cannot serve by itself yet.
func (g *Gate) holds() bool {
	s := stage(g.stage.Load())
	return s == starting || s == open && g.cfg.Role == cluster.Front
}
