package cluster

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// largeCommands is how many commands an entry holds, if it has no more than MaxEntryBytes for each.
const largeCommands = 3

// sequencer lets origins and their batches in, and makes entries of what waits.
type sequencer struct {
	*tenure
	flights  *flights
	founding *founding
	queue    chan *leaderBatch
	aloft    atomic.Int64  // commands in entries in flight
	landed   chan struct{} // holds one: aloft has fallen
	taken    takenBatches
	intake   intake
}

func newSequencer(t *tenure, f *flights, fo *founding) *sequencer {
	return &sequencer{tenure: t, flights: f, founding: fo, queue: make(chan *leaderBatch),
		landed: make(chan struct{}, 1)}
}

// leaderAnswer is the answer of a batch.
type leaderAnswer struct {
	wire.Answer
	term uint64 // of the entry, 0 if it is not known
	err  error
}

// copied returns a with values of their own: those that commitBatch returns stand in the exactly-once
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
func (s *sequencer) commitBatch(ctx context.Context, b wire.Batch) leaderAnswer {
	if d := s.in.witness.divergence(); d.stop {
		return leaderAnswer{err: d.err()}
	}
	lb := &leaderBatch{Batch: b, done: make(chan leaderAnswer, 1)}
	select {
	case s.queue <- lb:
	case <-s.ctx.Done():
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

// run puts what is waiting into one entry after the other. While entries are in flight, the next one
// gathers until it holds as many commands as they do, or they have landed: an entry costs every voter a write
// to its log, whatever is in it. A lone writer waits for nobody.
func (s *sequencer) run() {
	select {
	case <-s.founding.formed:
	case <-s.ctx.Done():
		return
	}
	for {
		c := &cargo{}
		if !s.gather(c) {
			s.answer(c.batches, 0, nil, wire.ErrNotLeader)
			return
		}
		entry := func() []byte {
			s.top(c)
			s.aloft.Add(int64(c.commands))
			return s.commands(c)
		}
		done := func(resp any, err error) {
			s.aloft.Add(-int64(c.commands))
			signal(s.landed)
			s.answer(c.batches, s.provenTerm(), resp, err)
		}
		if !s.flights.fly(entry, done) {
			s.answer(c.batches, 0, nil, wire.ErrNotLeader)
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
func (s *sequencer) gather(c *cargo) bool {
	for c.commands == 0 || !c.full() && c.commands < int(s.aloft.Load()) {
		select {
		case b := <-s.queue:
			s.take(c, b)
		case <-s.landed:
		case <-s.ctx.Done():
			return false
		}
	}
	return true
}

// top takes what else is waiting, as far as one entry goes.
func (s *sequencer) top(c *cargo) {
	for !c.full() {
		select {
		case b := <-s.queue:
			s.take(c, b)
		default:
			return
		}
	}
}

func (s *sequencer) commands(c *cargo) []byte {
	entry := append(make([]byte, 0, c.size+16), wire.EntryHeader(wire.EntryCommands, s.stamp())...)
	for _, b := range c.batches {
		entry = wire.AppendBatch(entry, &b.Batch)
	}
	return entry
}

// answer answers the batches of one entry.
func (s *sequencer) answer(bs []*leaderBatch, term uint64, resp any, err error) {
	answers, _ := resp.([]wire.Answer)
	if err == nil && len(answers) != len(bs) {
		err = ErrUncertain // the state has stopped
	}
	for i, b := range bs {
		if err != nil {
			s.taken.end(b, leaderAnswer{err: err})
			continue
		}
		s.taken.end(b, leaderAnswer{Answer: answers[i], term: term})
	}
}
