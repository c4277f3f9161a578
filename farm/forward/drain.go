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

// The quiet time that linger waits for is counted in steps, which must follow each other without a request. A process that is
// held up, by a pause or because it gets no processor, has thereby time to read what its connections have received meanwhile:
// by the clock alone, the quiet time would be over when it wakes up.
const (
	quietSteps  = 20                    // of the quiet time, at least
	longestStep = 50 * time.Millisecond // of those
	aloneSteps  = 2                     // without a peer, after which linger ends: by then what has arrived is read
)

// linger waits until clients have been quiet for a tenth of Config.Linger, at most for Config.Linger, and no longer than
// there is a peer.
func (g *Gate) linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Linger)
	defer cancel()
	quiet := g.cfg.Linger / 10
	length := max(min(quiet/quietSteps, longestStep), 1)
	tick := time.NewTicker(length)
	defer tick.Stop()
	seen := g.clients.entered()
	for step, alone := quiet/length, 0; step > 0 && alone < aloneSteps; step-- {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-g.done.Done():
			return
		}
		if n := g.clients.entered(); n != seen {
			seen, step = n, quiet/length+1
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
