package swarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// job is one Fetch. Everything in it belongs to the goroutine of run, so that nothing needs a lock: transfers and
// questions have goroutines of their own, and send how they ended. They only count bytes themselves.
type job struct {
	f        *Fetcher
	lacking  lacking
	slots    slots
	parts    parts
	patience patience
	meter    meter
	events   chan event
	running  int // transfers and questions, each of which ends with an event
	streams  int // transfers
}

// event is how a transfer, a batch or a question ended.
type event struct {
	slot  *slot
	item  *item   // of a transfer
	items []*item // of a batch, or asked about
	batch *batch
	has   holding // nil bits: it was no question, or there is an error
	part  *blob.Writer
	got   int64
	err   error
}

func newJob(f *Fetcher, refs []blob.Ref, progress func(Progress)) *job {
	j := &job{f: f, lacking: newLacking(f.config.Store, refs), patience: newPatience(f.config.Patience),
		meter: meter{progress: progress}, events: make(chan event)}
	j.parts.lost = func(bytes int64) {
		f.wasted(bytes)
		j.meter.count(-bytes)
	}
	return j
}

// tick is how often a Fetch looks around while nothing ends.
const tick = 25 * time.Millisecond

// run returns nil when all has come.
func (j *job) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer j.drain(cancel)
	timer := time.NewTicker(tick)
	defer timer.Stop()
	j.arrange()
	for len(j.lacking.items) > 0 {
		j.slots.meet(j.f.config.Peers())
		j.assign(ctx)
		j.ask(ctx)
		j.meter.report(&j.lacking, false)
		if err := j.verdict(); err != nil {
			return err
		}
		select {
		case e := <-j.events:
			j.handle(e)
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("swarm: fetch: %d of %d blobs are lacking: %w",
				j.lacking.count(), len(j.lacking.refs), context.Cause(ctx))
		}
	}
	return nil
}

// drain ends what runs, and throws parts away.
func (j *job) drain(cancel func()) {
	cancel()
	for j.running > 0 {
		j.handle(<-j.events)
	}
	for _, it := range j.lacking.items {
		j.parts.forget(it)
	}
}

// handle takes in how something ended.
func (j *job) handle(e event) {
	j.running--
	switch {
	case e.batch != nil:
		j.streams--
		for i, it := range e.items {
			j.settle(event{slot: e.slot, item: it, err: e.batch.ends[i]})
		}
		if errors.Is(e.err, errProtocol) {
			e.slot.many = false // until it says so again
		}
	case e.item != nil:
		j.streams--
		j.settle(e)
	default:
		j.learn(e)
	}
}
