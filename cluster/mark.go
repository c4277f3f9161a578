package cluster

import (
	"context"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// The chained hash (internal/replica/chain.go) shows what copies applied and answered, not what they have
// become: memory fails, and a state machine can go wrong without an answer that shows it. So the log has a
// mark now and then, which is an entry at which each copy freezes its state. It hashes the frozen state
// slowly, beside its work, and the leader compares the hashes (compare.go).

const (
	markEvery = 10 * time.Minute // if anything was written
	markFirst = time.Minute      // after a leader's election

	hashChunk = 1 << 20 // bytes hashed in one go
	hashShare = 4       // then it pauses for so many times as long
)

// slowHash takes a fifth of a processor at most: nobody waits for it.
type slowHash struct {
	replica.Digest
	ctx   context.Context
	since time.Time
	chunk int
}

func (h *slowHash) Write(p []byte) (int, error) {
	h.Digest.Write(p)
	if h.chunk += len(p); h.chunk >= hashChunk {
		sleep.For(h.ctx, hashShare*min(time.Since(h.since), time.Second))
		h.chunk, h.since = 0, time.Now()
	}
	return len(p), h.ctx.Err()
}

// mark puts a mark into the log if there is somebody to compare with, and something has happened since the
// last one.
func (c *comparison) mark() {
	every := c.in.node.hooks.markEvery
	if c.marked.IsZero() {
		c.marked = time.Now().Add(min(every, markFirst) - every)
	}
	if time.Since(c.marked) < every || len(c.in.configuration().Servers) < 2 || !c.in.fsm.Unmarked() {
		return
	}
	c.marked = time.Now()
	entry := func() []byte { return wire.EntryHeader(wire.EntryMark, c.stamp()) }
	if err := c.flights.commit(entry); err != nil {
		c.in.log.Debug("no mark was put into the log", keyError, err)
	}
}
