package forward

import (
	"context"
	"time"
)

// Retire begins the drain: peers hear that they should not choose this node, and what they send all the same is refused;
// clients' new requests are forwarded and their connections closed. It returns when it is time to stop accepting
// connections: once things are quiet, at the end of Config.Linger or of ctx, and at once where no peer could take over.
func (g *Gate) Retire(ctx context.Context) {
	if !g.beginDrain() {
		select {
		case <-g.retired:
		case <-ctx.Done():
		case <-g.done.Done():
		}
		return
	}
	defer close(g.retired)
	g.announce()
	g.linger(ctx)
}

func (g *Gate) linger(ctx context.Context) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Linger)
	defer cancel()
	quiet := g.cfg.Linger / 10
	for g.hop.anyPeer() {
		wait := quiet - min(g.clients.quiet(), time.Since(begin))
		if wait <= 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		case <-g.done.Done():
			return
		}
	}
}

// Finish waits until no handler of the application is running here, or ctx ends. It returns how many still are. After
// Retire, peers and clients start none, unless there is no peer to send them to.
func (g *Gate) Finish(ctx context.Context) int { return g.running.wait(ctx) }

// Idle waits until no request is being answered or forwarded here, or ctx ends. It returns how many still are.
func (g *Gate) Idle(ctx context.Context) int {
	g.running.wait(ctx)
	return max(g.clients.wait(ctx), g.running.wait(ctx))
}

// Timeout is Config.DrainTimeout or its default.
func (g *Gate) Timeout() time.Duration { return g.cfg.DrainTimeout }
