package farm

import (
	"context"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once"
)

// What one node of the farm does at a time is package once's. The farm gives it a log, and tells it when this
// node drains.

func (f *Farm) openJobs(name string) {
	log := f.node.Handle(machineOnce)
	f.jobs = once.New(once.Config{Log: log, Local: func() *once.Machine { return log.Local().(*once.Machine) },
		News: &f.onceNews, Run: f.node.Run(), Node: name, Role: string(f.cfg.Role), App: f.cfg.App,
		Context: func(ctx context.Context) context.Context { return f.configs.Context(ctx) },
		Ended:   f.node.AwaitEnd, Alive: f.node.Running, Logger: f.log})
}

// Lock waits until this node has the lock of that name, which nobody else in the farm has then; see
// once.Client.Lock.
func (f *Farm) Lock(ctx context.Context, name string) (*once.Lease, error) {
	return f.jobs.Lock(ctx, name)
}

// TryLock is Lock, and fails with once.ErrHeld where that would wait for somebody.
func (f *Farm) TryLock(ctx context.Context, name string) (*once.Lease, error) {
	return f.jobs.TryLock(ctx, name)
}

// Singleton has fn run on exactly one node of the farm at a time, of those whose program registers that name;
// see once.Client.Singleton.
func (f *Farm) Singleton(name string, fn func(ctx context.Context, fence uint64) error,
	prefer ...once.Node) error {
	return f.jobs.Singleton(name, fn, prefer...)
}

// Every runs fn at each time of a schedule on one node of the farm, of those whose program registers that
// name; see once.Client.Every.
func (f *Farm) Every(name string, s once.Schedule, fn once.JobFunc) error {
	return f.jobs.Every(name, s, fn)
}

// Once runs fn to success once in the life of the farm, and returns when that is so; see once.Client.Once.
func (f *Farm) Once(ctx context.Context, name string,
	fn func(ctx context.Context, fence uint64) error) error {
	return f.jobs.Once(ctx, name, fn)
}

// Jobs returns this node's part in locks and jobs: what there is, and who runs it.
func (f *Farm) Jobs() *once.Client { return f.jobs }

// beginDrain begins a drain: others have the requests, and take over singletons and jobs. takeBackDrain takes
// that back, and reports whether there was one. f.drains has one at a time at that.
func (f *Farm) beginDrain() (undone <-chan struct{}) {
	undone = f.gate.Drain()
	f.jobs.Retire()
	return undone
}

func (f *Farm) takeBackDrain() bool {
	undone := f.gate.Reopen()
	if undone {
		f.jobs.Resume()
	}
	return undone
}

// awaitJobs waits until the singletons and jobs that run here have ended, or ctx has.
func (f *Farm) awaitJobs(ctx context.Context) {
	if err := f.jobs.Idle(ctx); err != nil && f.done.Err() == nil {
		f.log.Warn("jobs are cut off: the time for draining is over", "err", err)
	}
}

// jobsPatience is how long jobs may go on after their contexts have ended.
const jobsPatience = 5 * time.Second

func (f *Farm) closeJobs() error {
	ctx, cancel := context.WithTimeout(context.Background(), jobsPatience)
	defer cancel()
	return f.jobs.Close(ctx)
}
