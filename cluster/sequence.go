package cluster

import (
	"context"
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// largeCommands is how many commands an entry holds, if it has no more than MaxEntryBytes for each.
const largeCommands = 3

type leaderAnswer struct {
	wire.Answer
	term uint64 // of the entry, 0 if it is not known
	err  error
}

// copied returns a with values of their own: those that l.commitBatch returns stand in the exactly-once
// table, which is replicated state, and callers do with theirs as they like.
func (a leaderAnswer) copied() leaderAnswer {
	own := make([][]byte, len(a.Value))
	for i, v := range a.Value {
		own[i] = slices.Clone(v)
	}
	a.Value = own
	return a
}

// commitBatch has a batch committed and returns its answer, or wire.ErrNotLeader if nothing was done, or
// ErrUncertain.
func (l *leadership) commitBatch(ctx context.Context, b wire.Batch) leaderAnswer {
	if d := l.in.witness.divergence(); d.stop {
		return leaderAnswer{err: d.err()}
	}
	lb := &leaderBatch{Batch: b, done: make(chan leaderAnswer, 1)}
	select {
	case l.queue <- lb:
	case <-l.ctx.Done():
		return leaderAnswer{err: wire.ErrNotLeader}
	case <-ctx.Done():
		return leaderAnswer{err: wire.ErrNotLeader}
	}
	select {
	case a := <-lb.done:
		return a
	case <-ctx.Done():
		return leaderAnswer{err: ErrUncertain}
	}
}

// sequence puts what is waiting into one entry after the other. While entries are in flight, the next one
// gathers until it holds as many commands as they do, or they have landed: an entry costs every voter a write
// to its log, whatever is in it. A lone writer waits for nobody.
func (l *leadership) sequence() {
	select {
	case <-l.formed:
	case <-l.ctx.Done():
		return
	}
	for {
		c := &cargo{}
		if !l.gather(c) {
			l.answer(c.batches, 0, nil, wire.ErrNotLeader)
			return
		}
		entry := func() []byte {
			l.top(c)
			l.aloft.Add(int64(c.commands))
			return l.commands(c)
		}
		done := func(resp any, err error) {
			l.aloft.Add(-int64(c.commands))
			signal(l.landed)
			l.answer(c.batches, l.provenTerm(), resp, err)
		}
		if !l.fly(entry, done) {
			l.answer(c.batches, 0, nil, wire.ErrNotLeader)
		}
	}
}

// cargo is the batches of an entry that is being put together.
type cargo struct {
	batches        []*leaderBatch
	size, commands int
}

func (c *cargo) add(b *leaderBatch) {
	c.batches, c.size, c.commands = append(c.batches, b), c.size+b.Size(), c.commands+b.Count
}

// full reports whether the entry takes no more batches. It takes a few large commands even if they have more
// bytes than one entry should: a slow disk needs as long to write one of them as to write several.
func (c *cargo) full() bool {
	return c.commands >= wire.MaxEntryCommands || c.size >= largeCommands*wire.MaxEntryBytes ||
		c.size >= wire.MaxEntryBytes && c.commands >= largeCommands
}

// gather waits for enough to make an entry of. It reports false if the leadership ends before.
func (l *leadership) gather(c *cargo) bool {
	for c.commands == 0 || !c.full() && c.commands < int(l.aloft.Load()) {
		select {
		case b := <-l.queue:
			l.take(c, b)
		case <-l.landed:
		case <-l.ctx.Done():
			return false
		}
	}
	return true
}

// top takes what else is waiting, as far as one entry goes.
func (l *leadership) top(c *cargo) {
	for !c.full() {
		select {
		case b := <-l.queue:
			l.take(c, b)
		default:
			return
		}
	}
}

func (l *leadership) commands(c *cargo) []byte {
	entry := append(make([]byte, 0, c.size+16), wire.EntryHeader(wire.EntryCommands, l.stamp())...)
	for _, b := range c.batches {
		entry = wire.AppendBatch(entry, &b.Batch)
	}
	return entry
}

// answer answers the batches of one entry.
func (l *leadership) answer(bs []*leaderBatch, term uint64, resp any, err error) {
	answers, _ := resp.([]wire.Answer)
	if err == nil && len(answers) != len(bs) {
		err = ErrUncertain // the state has stopped
	}
	for i, b := range bs {
		if err != nil {
			l.taken.end(b, leaderAnswer{err: err})
			continue
		}
		l.taken.end(b, leaderAnswer{Answer: answers[i], term: term})
	}
}
