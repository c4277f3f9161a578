package farm

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// ErrRestart is what Serve returns when this program is to be started again: an operator wants it (farmctl restart), or
// a change of the configuration does, of a field with the tag reload:"restart". By then it has drained. The program
// ends with ExitCode, which is 75, and its supervisor starts it: systemd with Restart=on-failure, Docker with a restart
// policy, Kubernetes by itself. A program that has no supervisor calls Close and replaces itself, such as by
// syscall.Exec.
var ErrRestart = errors.New("farm: this program is to be started again")

// obey does what an operator wants of this node. It returns when that has begun.
func (f *Farm) obey(ctx context.Context, word string) error {
	if f.gateNow.Load() == nil {
		return errStarting
	}
	if k, ok := order.ParseKeys(word); ok {
		return f.obeyKeys(ctx, k)
	}
	switch word {
	case order.Drain:
		return f.drainForOperator()
	case order.Undrain:
		return f.Undrain()
	case order.Restart:
		return f.restart("an operator has it started again")
	}
	return fmt.Errorf("this program does not know the order %q: its version is another", word)
}

// drainForOperator begins a drain that lasts until Undrain, or until the node stops.
func (f *Farm) drainForOperator() error {
	if err := f.gate.Relieved(); err != nil {
		return err
	}
	return f.drains.join(func(running *sync.WaitGroup) {
		undone := f.beginDrain()
		running.Add(1)
		f.wg.Go(func() {
			defer running.Done()
			f.followDrain(undone)
		})
	})
}

// followDrain tells of a drain that an operator wants.
func (f *Farm) followDrain(undone <-chan struct{}) {
	ctx, cancel := until(f.done, undone)
	defer cancel()
	requests, streams, _ := f.gate.Running()
	f.log.Info("an operator has this node drain, until that is taken back", "requests", requests, "streams",
		streams)
	if f.gate.Finish(ctx) == 0 && f.jobs.Idle(ctx) == nil && ctx.Err() == nil {
		f.log.Info("drained; what still comes is forwarded")
	}
}

// restart ends Serve with ErrRestart. why is logged.
func (f *Farm) restart(why string) error {
	f.serveMu.Lock()
	defer f.serveMu.Unlock()
	if f.served == nil || closed(f.served) {
		return errors.New("the program has a server of its own, and only its supervisor can start it again")
	}
	f.restartOnce.Do(func() {
		f.restartWhy = why
		close(f.restarts)
	})
	return nil
}
