package farm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Drain prepares this node for stopping: the readiness path says 503, peers choose others, clients' new requests are
// forwarded and their connections closed, and running handlers finish. It returns when the server can be shut down, at
// the latest when ctx or Config.Forward.DrainTimeout ends; handlers that still run then are an error. The node stays a
// member. There is no way back. If the farm would have no majority without this node, and another one could take its
// place, Drain waits for that as well.
//
// Serve drains by itself. With a server of your own: Drain, then its Shutdown, then Close.
func (f *Farm) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.gate.Timeout())
	defer cancel()
	drained := f.logDrain("the program says so", f.gate.Timeout())
	succeeded := f.prepareStop(ctx)
	f.gate.Retire(ctx)
	n := f.gate.Finish(ctx)
	drained(n)
	succeeded()
	if n > 0 {
		return fmt.Errorf("farm: %d handlers are still running: %w", n, ctx.Err())
	}
	return nil
}

// prepareStop has the farm find a successor for this node while that drains. succeeded waits until there is one, if the
// farm needs one and can have one, or ctx ends.
func (f *Farm) prepareStop(ctx context.Context) (succeeded func()) {
	var preparing sync.WaitGroup
	preparing.Go(func() { f.node.PrepareStop(ctx) })
	return func() {
		preparing.Wait()
		f.node.PrepareStop(ctx) // others may have stopped since
	}
}

// logDrain says that this node drains, why, and for how long at most; drained says how that ended. Of several drains of one
// node, such as Leave beside Serve, the first is told.
func (f *Farm) logDrain(why string, limit time.Duration) (drained func(running int)) {
	if !f.draining.CompareAndSwap(false, true) {
		return func(int) {}
	}
	began := time.Now()
	f.log.Info("draining", "reason", why, "limit", limit)
	return func(running int) {
		took := time.Since(began).Round(time.Millisecond)
		if running > 0 {
			f.log.Warn("drained; requests that took longer are cut off", "after", took, "requests", running)
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
	f.leaveErr = errors.Join(err, f.node.Leave(ctx))
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
	f.cancel(ErrClosed)
	var errs []error
	if f.health != nil {
		errs = append(errs, f.health.Close())
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
	if f.sessions != nil {
		errs = append(errs, f.sessions.Close())
	}
	if f.node != nil {
		errs = append(errs, f.node.Close())
	}
	return errors.Join(errs...)
}
