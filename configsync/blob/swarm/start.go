package swarm

import (
	"context"
)

// start begins the transfer of one blob.
func (j *job) start(ctx context.Context, s *slot, it *item) {
	t := &transfer{f: j.f, peer: s.id, ref: it.ref, insist: j.insists(it), count: j.meter.count}
	t.part = j.parts.take(it)
	it.from |= s.bit
	t.mixed = ones(it.from) > 1
	it.active = true
	j.running++
	j.streams++
	go func() {
		err := t.run(ctx)
		j.f.leave(t.peer, t.got, ofPeer(ctx, err))
		j.events <- event{slot: s, item: it, part: t.part, got: t.got, err: err}
	}()
}

// startBatch begins the transfer of several small blobs.
func (j *job) startBatch(ctx context.Context, s *slot, items []*item) {
	b := &batch{f: j.f, peer: s.id, count: j.meter.count}
	for _, it := range items {
		b.refs = append(b.refs, it.ref)
	}
	j.running++
	j.streams++
	go func() {
		err := b.run(ctx)
		j.f.leave(b.peer, b.got, ofPeer(ctx, err))
		j.events <- event{slot: s, items: items, batch: b, err: err}
	}()
}

// ofPeer leaves out what comes of our own end.
func ofPeer(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Canceled
	}
	return err
}
