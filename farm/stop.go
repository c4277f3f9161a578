package farm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward"
)

// ErrUndrained is what Drain returns when Undrain has taken the drain back.
var ErrUndrained = forward.ErrUndrained

// Drain prepares this node for stopping: the readiness path says 503, peers choose others, clients' new requests are
// forwarded and their connections closed, streams are told to go, singletons go to other nodes, and running handlers
// and jobs finish. It returns when the server can be shut down, at the latest when ctx or Config.Forward.DrainTimeout
// ends; handlers, jobs and singletons that still run then are an error. The node stays a member, and goes on
// forwarding. If the farm would have no majority without this node, and another one could take its place, Drain waits
// for that as well.
//
// Undrain takes it back; Drain returns ErrUndrained then, if it has not returned before.
//
// Serve drains by itself. With a server of your own: Drain, then its Shutdown, then Close.
func (f *Farm) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.gate.Timeout())
	defer cancel()
	undone, end := f.drains.begin(f.beginDrain)
	defer end()
	ctx, cancel = until(ctx, undone)
	defer cancel()
	drained := f.logDrain("the program says so", f.gate.Timeout())
	prepared, relieved := f.prepareStop(ctx)
	f.gate.Retire(ctx)
	n := f.gate.Finish(ctx)
	late := f.jobs.Idle(ctx)
	if closed(undone) {
		prepared()
		return fmt.Errorf("farm: drain: %w", ErrUndrained)
	}
	drained(n)
	relieved()
	if n > 0 {
		return fmt.Errorf("farm: %d handlers are still running: %w", n, ctx.Err())
	}
	if late != nil {
		return fmt.Errorf("farm: %w", late)
	}
	return nil
}

// Undrain takes a drain back, by Drain or by an operator (farmctl drain): this node takes requests again,
// and peers choose it. What was told to go meanwhile goes. Without a drain it does nothing. It fails when
// the node stops: when the context of Serve has ended, and after Leave and Close.
func (f *Farm) Undrain() error {
	undone, err := f.drains.undo(f.takeBackDrain, f.node.StayOn)
	if undone {
		f.logged.Store(false)
		f.log.Info("the drain was taken back; this node serves again")
	}
	return err
}

// until returns ctx that ends with c, too.
func until(ctx context.Context, c <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-c:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// drains are those of a Farm, which can be taken back until it stops.
type drains struct {
	mu      sync.Mutex
	stops   bool           // there is no way back; guarded by mu
	running sync.WaitGroup // of Drain
}

// begin begins a drain; end says that what follows from it is over.
func (d *drains) begin(drain func() <-chan struct{}) (undone <-chan struct{}, end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running.Add(1)
	return drain(), d.running.Done
}

// join has f begin a drain that is waited for by running, unless the node stops.
func (d *drains) join(f func(running *sync.WaitGroup)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stops {
		return errors.New("this node stops already; wait until it is back")
	}
	f(&d.running)
	return nil
}

// stop says that there is no way back from now on.
func (d *drains) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stops = true
}

// undo takes a drain back by reopen, which reports whether there was one, and then by stay, when all have
// heard of it.
func (d *drains) undo(reopen func() bool, stay func()) (undone bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stops {
		return false, errors.New("farm: this node stops, and its drain cannot be taken back")
	}
	if !reopen() {
		return false, nil
	}
	d.running.Wait()
	stay()
	return true, nil
}

// prepareStop has the farm find a relief for this node while that drains. prepared waits until that is
// done, and relieved until there is one, if the farm needs one and can have one; the end of ctx ends both.
func (f *Farm) prepareStop(ctx context.Context) (prepared, relieved func()) {
	var preparing sync.WaitGroup
	preparing.Go(func() { f.node.PrepareStop(ctx) })
	return preparing.Wait, func() {
		preparing.Wait()
		f.node.PrepareStop(ctx) // others may have stopped since
	}
}

// logDrain says that this node drains, why, for how long at most, and for whom; drained says how that
// ended. Of several drains of one node, such as Leave beside Serve, the first is told.
func (f *Farm) logDrain(why string, limit time.Duration) (drained func(running int)) {
	if !f.logged.CompareAndSwap(false, true) {
		return func(int) {}
	}
	began := time.Now()
	requests, streams, _ := f.gate.Running()
	f.log.Info("draining", "reason", why, "at_most", limit, "requests", requests, "streams", streams)
	return func(running int) {
		took := time.Since(began).Round(time.Millisecond)
		if running > 0 {
			requests, streams, routes := f.gate.Running()
			f.log.Warn("drained; what took longer is cut off", "after", took, "requests", requests,
				"streams", streams, "routes", routes)
			return
		}
		f.log.Info("drained", "after", took)
	}
}

// Leave drains this node, ends Serve, and takes the node out of the farm for good: the others do not expect it back. Close
// afterwards.
//
// A second call waits for the first and returns the same. After Close it fails with ErrClosed.
func (f *Farm) Leave(ctx context.Context) error {
	if !f.beginLeave() {
		select {
		case <-f.left:
			return f.leaveErr
		case <-ctx.Done():
			return fmt.Errorf("farm: leave: %w", ctx.Err())
		}
	}
	f.drains.stop()
	err := f.Drain(ctx)
	f.endServe(ctx) // while the node is a member: what still arrives is forwarded
	return f.finishLeave(ctx, err)
}

// leaveWhenAsked has this node leave when an operator asks for that. Serve does it, if it runs: then it returns when the node
// has left. A program with a server of its own learns of it by Left.
func (f *Farm) leaveWhenAsked() {
	select {
	case <-f.asked:
	case <-f.done.Done():
		return
	}
	f.log.Warn("an operator asks this node to leave the farm for good; it drains and leaves")
	f.serveMu.Lock()
	serves := f.served != nil
	f.serveMu.Unlock()
	if serves {
		return
	}
	ctx, cancel := context.WithTimeout(f.done, 2*f.gate.Timeout())
	defer cancel()
	if err := f.Leave(ctx); err != nil {
		f.log.Error("this node was to leave the farm", "err", err)
	}
}

// Left is closed when this node has left the farm for good, or has tried to: because Leave was called, or because an operator
// asked for it. Serve returns then; a program with a server of its own ends that, and calls Close.
func (f *Farm) Left() <-chan struct{} { return f.left }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// beginLeave reports whether it was called for the first time. Whoever it was calls finishLeave.
func (f *Farm) beginLeave() (first bool) {
	f.leaveOnce.Do(func() {
		first = true
		close(f.leaving)
	})
	return first
}

func (f *Farm) finishLeave(ctx context.Context, err error) error {
	defer close(f.left)
	// The goodbye says that what this node held is free.
	f.leaveErr = errors.Join(err, f.closeJobs(), f.node.Leave(ctx))
	return f.leaveErr
}

// Close stops this node at once, which means "back soon": it remains a member. What still runs is cut off, so Drain
// first. Close waits until everything has ended, and may be called more than once.
func (f *Farm) Close() error {
	f.closeOnce.Do(func() { f.closeErr = f.close() })
	return f.closeErr
}

// close releases what open acquired; open may have failed half way.
func (f *Farm) close() error {
	f.drains.stop()
	f.cancel(ErrClosed)
	var errs []error
	if f.health != nil {
		errs = append(errs, f.health.Close())
	}
	if f.operators != nil {
		errs = append(errs, f.operators.Close())
	}
	if f.peerHTTP != nil {
		f.peerHTTP.close()
	}
	if f.gate != nil {
		errs = append(errs, f.gate.Close())
	}
	if f.public != nil {
		f.public.Close() // most often Serve has done it
	}
	if f.admin != nil && f.health == nil {
		errs = append(errs, f.admin.Close())
	}
	f.endServe(context.Background())
	f.wg.Wait()
	if f.jobs != nil {
		errs = append(errs, f.closeJobs())
	}
	if f.sessions != nil {
		errs = append(errs, f.sessions.Close())
	}
	if f.configs != nil {
		errs = append(errs, f.configs.Close())
	}
	if f.contents != nil {
		errs = append(errs, f.contents.close())
	}
	if f.node != nil {
		errs = append(errs, f.node.Close())
	}
	return errors.Join(errs...)
}
