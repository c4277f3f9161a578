package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// ErrUndrained says that a drain was taken back before its end.
var ErrUndrained = errors.New("farm: the drain was taken back")

// drainage is one drain of a Gate: the one that has begun, or else the next.
type drainage struct {
	begun   chan struct{} // closed when it begins
	retired chan struct{} // closed when it is time to stop accepting connections
	retires bool          // somebody waits for that; guarded by Gate.stageMu
	undone  chan struct{} // closed when it is taken back
	drained bool          // nothing is left to wait for; guarded by Gate.stageMu
	began   time.Time     // when; guarded by Gate.stageMu
}

func newDrainage() *drainage {
	return &drainage{begun: make(chan struct{}), retired: make(chan struct{}), undone: make(chan struct{})}
}

// Drain begins the drain, unless it has begun: peers hear that they should not choose this node, and what
// they send all the same is refused; clients' new requests are forwarded and their connections closed;
// streams are told to go, spread over Config.CloseSpread. The channel is closed when the drain is taken
// back, by Reopen.
func (g *Gate) Drain() (undone <-chan struct{}) {
	g.stageMu.Lock()
	d, first := g.beginDrainLocked()
	if first {
		spread := g.streams.drain(g.spreadTime(), d.undone, g.done.Done())
		g.wg.Go(spread.tellAll)
		g.wg.Go(func() { g.awaitDrained(d) })
	}
	g.stageMu.Unlock()
	g.announce()
	return d.undone
}

// awaitDrained tells the peers once nothing is left to wait for, unless the drain is undone before.
func (g *Gate) awaitDrained(d *drainage) {
	ctx, cancel := context.WithCancel(g.done)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-d.undone:
		case <-ctx.Done():
		}
	}()
	if g.Finish(ctx) > 0 {
		return
	}
	g.stageMu.Lock()
	d.drained = true
	g.stageMu.Unlock()
	g.announce()
}

// Relieved says why nobody else could serve what comes to this node, nil if somebody could.
func (g *Gate) Relieved() error {
	if !g.hop.anyPeer() {
		return errors.New("no other node is ready to serve this application")
	}
	return nil
}

// beginDrainLocked returns the drain, and whether it begins by this call.
func (g *Gate) beginDrainLocked() (d *drainage, first bool) {
	d = g.drainage
	if stage(g.stage.Load()) == draining {
		return d, false
	}
	g.stage.Store(int32(draining))
	d.began = time.Now()
	close(d.begun)
	g.ingress.lanes.Drain(true) // sooner than gossip
	return d, true
}

// spreadTime is over how long streams are told to go. The rest of Config.CloseSpread is left to those told
// last.
func (g *Gate) spreadTime() time.Duration {
	if !g.hop.anyPeer() {
		return 0 // their clients come back to this node, as soon as it has ended
	}
	return g.cfg.CloseSpread - g.grace()
}

// grace is how long a WebSocket lasts after it was told to go.
func (g *Gate) grace() time.Duration { return g.cfg.CloseSpread / 5 }

// Retire is Drain, and waits until it is time to stop accepting connections: once things are quiet, at the
// end of Config.Linger or of ctx, and soon where no peer could take over. It returns ErrUndrained if the
// drain is taken back first.
func (g *Gate) Retire(ctx context.Context) error {
	undone := g.Drain()
	d, first := g.retire()
	if first {
		g.linger(ctx, d.undone)
		close(d.retired)
	}
	select {
	case <-undone:
		return ErrUndrained
	default:
	}
	select {
	case <-undone:
		return ErrUndrained
	case <-d.retired:
	case <-ctx.Done():
	case <-g.done.Done():
	}
	return nil
}

// retire returns the drain that has begun, and whether it is the first to ask for that.
func (g *Gate) retire() (d *drainage, first bool) {
	g.stageMu.Lock()
	defer g.stageMu.Unlock()
	d = g.drainage
	first = !d.retires
	d.retires = true
	return d, first
}

// Reopen takes a drain back: the gate is what it would be without, and peers hear of it. It reports whether
// there was a drain that could be taken back. Streams that were told to go meanwhile end all the same.
func (g *Gate) Reopen() bool {
	g.stageMu.Lock()
	if g.done.Err() != nil || stage(g.stage.Load()) != draining {
		g.stageMu.Unlock()
		return false
	}
	d := g.drainage
	g.drainage = newDrainage()
	g.stage.Store(int32(starting))
	g.openLocked()
	close(d.undone)
	g.streams.resume()
	g.ingress.lanes.Drain(false)
	g.stageMu.Unlock()
	g.announce()
	return true
}

// drainBegun returns a channel that is closed when the drain begins.
func (g *Gate) drainBegun() <-chan struct{} {
	g.stageMu.Lock()
	defer g.stageMu.Unlock()
	return g.drainage.begun
}

// parts reports whether the connection of a client is to be closed with its answer, on a draining node.
// Within the first moments that is so for some, and for more and more of them, so that they do not all
// connect anew to the others at once.
func (g *Gate) parts() bool {
	g.stageMu.Lock()
	began := g.drainage.began
	g.stageMu.Unlock()
	ramp := min(g.cfg.CloseSpread, g.cfg.Linger) / 10
	return time.Since(began) >= rand.N(max(ramp, 1)) || !g.hop.anyPeer()
}

// The quiet time that linger waits for is counted in steps, which must follow each other without a request. A
// process that is held up, by a pause or because it gets no processor, has thereby time to read what its
// connections have received meanwhile: by the clock alone, the quiet time would be over when it wakes up.
const (
	quietSteps  = 20                    // of the quiet time, at least
	longestStep = 50 * time.Millisecond // of those
	aloneSteps  = 2                     // without a peer, after which linger ends: what has arrived is read then
)

// linger waits until clients have been quiet for a tenth of Config.Linger, at most for Config.Linger, and no
// longer than there is a peer, or until the drain is undone.
func (g *Gate) linger(ctx context.Context, undone <-chan struct{}) {
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
		case <-undone:
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

// Finish waits until no handler of the application is running here and no WebSocket is open, or ctx ends.
// It returns how many still are. After Drain, peers and clients start none, unless there is no peer to send
// them to.
func (g *Gate) Finish(ctx context.Context) int {
	for {
		g.handlers.wait(ctx)
		g.streams.wait(ctx)
		n := max(g.handlers.wait(ctx), g.streams.count())
		if n == 0 || ctx.Err() != nil { // else there is a new one
			return n
		}
	}
}

// Idle waits until no request is being answered or forwarded here and no WebSocket is open, or ctx ends. It
// returns how many still are.
func (g *Gate) Idle(ctx context.Context) int {
	g.Finish(ctx)
	return max(g.clients.wait(ctx), g.Finish(ctx))
}

// Timeout is Config.DrainTimeout or its default.
func (g *Gate) Timeout() time.Duration { return g.cfg.DrainTimeout }
