package forward

import (
	"context"
	"time"
)

// Retire begins the drain: peers hear that they should not choose this node, and what they send all the same is refused;
// clients' new requests are forwarded and their connections closed. It returns when it is time to stop accepting
// connections: once things are quiet, at the end of Config.Linger or of ctx, and soon where no peer could take over.
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

// quietSteps are the parts of the quiet time that linger waits for. It ends after so many in a row without a request. A process
// that is held up, by a pause or because it gets no processor, has thereby time to read what its connections have received
// meanwhile: by the clock alone, the quiet time would be over when it wakes up.
const quietSteps = 20

// aloneSteps are the steps in a row without a peer after which linger ends: what has arrived by then is read, too.
const aloneSteps = 2

// linger waits until clients have been quiet for a tenth of Config.Linger, at most for Config.Linger, and no longer than
// there is a peer.
func (g *Gate) linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Linger)
	defer cancel()
	tick := time.NewTicker(max(g.cfg.Linger/10/quietSteps, 1))
	defer tick.Stop()
	seen := g.clients.entered()
	for step, alone := 0, 0; step < quietSteps && alone < aloneSteps; step++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-g.done.Done():
			return
		}
		if n := g.clients.entered(); n != seen {
			seen, step = n, -1
		}
		if alone++; g.hop.anyPeer() {
			alone = 0
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
