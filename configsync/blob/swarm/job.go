package swarm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// job is one Fetch. Everything in it belongs to the goroutine of run.
type job struct {
	f        *Fetcher
	progress func(Progress)
	refs     []blob.Ref // all, each once
	items    []*item    // that are lacking, in random order
	asked    []*item    // the first of items: those that peers are asked about
	order    []*item    // of asked those that somebody has, the rarest first
	slots    []*slot
	events   chan event
	running  int          // transfers and questions, each of which ends with an event
	streams  int          // transfers
	parts    int          // items with a part
	total    int64        // bytes of refs
	here     uint64       // bits of the peers that are present
	done     int          // items that have come
	before   int64        // bytes that were there
	come     atomic.Int64 // bytes that have come
	moved    time.Time    // when something came last
	came     time.Time    // when bytes of a blob came last
	told     time.Time
	failed   error // of our own disk, for which it is of no use to go on
	starved  error // no descriptors: it may get better
	rest     time.Time
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
	j := &job{f: f, progress: progress, events: make(chan event), moved: time.Now(), came: time.Now()}
	seen := make(map[blob.Hash]bool, len(refs))
	for _, r := range refs {
		if !seen[r.Hash] {
			seen[r.Hash] = true
			j.refs = append(j.refs, r)
			j.total += r.Size
		}
	}
	j.before = j.total
	for _, r := range f.config.Store.Missing(j.refs) {
		j.items = append(j.items, &item{ref: r})
		j.before -= r.Size
	}
	j.done = len(j.refs) - len(j.items)
	rand.Shuffle(len(j.items), func(a, b int) { j.items[a], j.items[b] = j.items[b], j.items[a] })
	return j
}

func (j *job) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer j.drain(cancel)
	timer := time.NewTicker(tick)
	defer timer.Stop()
	j.window()
	for len(j.items) > 0 {
		j.meet()
		j.assign(ctx)
		j.ask(ctx)
		j.report(false)
		if err := j.verdict(); err != nil {
			return err
		}
		select {
		case e := <-j.events:
			j.handle(e)
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("swarm: fetch: %d of %d blobs are lacking: %w",
				len(j.refs)-j.done, len(j.refs), context.Cause(ctx))
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
	for _, it := range j.items {
		j.forget(it)
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
