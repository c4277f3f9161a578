package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// confirming finds out whether this node still leads, by asking the voters.
type confirming struct {
	*tenure
	barr    rounds[uint64]
	leisure rounds[uint64] // of barriers for those who can wait for others
}

func newConfirming(t *tenure) *confirming {
	c := &confirming{tenure: t}
	spawn := func(f func()) bool {
		t.wg.Go(f) // callers are guests
		return true
	}
	c.barr = rounds[uint64]{do: c.confirm, spawn: spawn}
	c.leisure = rounds[uint64]{do: func() (uint64, error) { return c.barr.join(c.ctx) },
		pause: c.leisurely(), spawn: spawn}
	return c
}

// barrier returns the index that a reader must have applied to be as new as anything acknowledged before the
// call.
func (c *confirming) barrier(ctx context.Context) (index uint64, err error) {
	return c.barrierAmong(ctx, &c.barr)
}

func (c *confirming) barrierAmong(ctx context.Context, those *rounds[uint64]) (index uint64, err error) {
	if err := c.await(ctx); err != nil {
		return 0, err
	}
	err = wire.ErrNotLeader
	c.enter(func() bool {
		index, err = those.join(ctx)
		return true
	})
	return index, err
}

// leisure is the time between two barriers for nodes that only want to know how fresh they are. Each node
// asks every two seconds, and each barrier asks all voters. In a large farm the voters would do little else.
const leisure = 500 * time.Millisecond

// leisurely returns what lets that time pass between its calls.
func (c *confirming) leisurely() func() {
	var last time.Time
	return func() {
		if wait := time.Until(last.Add(leisure)); wait > 0 {
			sleep.For(c.ctx, wait)
		}
		last = time.Now()
	}
}

// confirm is one round: first the index, then the proof that no later term had begun when it was read.
func (c *confirming) confirm() (uint64, error) {
	index, _ := c.in.fsm.View()
	// the entries after that were not applied here, but perhaps acknowledged elsewhere
	if c.in.fsm.Stopped() {
		return 0, fmt.Errorf("%w: %w", wire.ErrNotLeader, replica.ErrStopped)
	}
	if err := c.askVoters(); err != nil {
		return 0, err
	}
	return index, nil
}

// askVoters asks every voter whether its term is still this one, and returns nil when a majority said so,
// this node included. raft's own VerifyLeader will not do: it counts non-voters, and answers to questions put
// before the call. The answers bring the voters' clocks along.
func (c *confirming) askVoters() error {
	return c.majority(func(ctx context.Context, voter string) error {
		if voter == c.in.server {
			return c.stillMine(c.in.raft.CurrentTerm())
		}
		return c.askVoter(ctx, voter)
	})
}

// majority asks every voter at once, for a second, and returns nil when more than half of all have no error.
func (c *confirming) majority(ask func(ctx context.Context, voter string) error) error {
	voters := c.in.voters()
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	answers := make(chan error, len(voters))
	for _, v := range voters {
		c.wg.Go(func() { answers <- ask(ctx, v) })
	}
	var last error
	for yes, left := 0, len(voters); left > 0; left-- {
		select {
		case err := <-answers:
			if err != nil {
				last = err
			} else if yes++; yes > len(voters)/2 {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("no majority of voters agrees: %w", errors.Join(wire.ErrNotLeader, last))
}

func (c *confirming) askVoter(ctx context.Context, server string) error {
	out, _, err := c.in.node.peers.Call(ctx, wire.NodeOf(server), wire.MethodTerm, []byte(server))
	if err != nil {
		return err
	}
	r := wire.NewReader(out)
	term, clock := r.Uvarint(), r.Uvarint()
	if err := r.End(); err != nil {
		return err
	}
	c.clock.Sample(server, clock, time.Now())
	return c.stillMine(term)
}

// answerTerm is the voter's side of askVoter.
func (rs *reads) answerTerm(server []byte) ([]byte, error) {
	in := rs.instance()
	if string(server) != in.server || in.ctx.Err() != nil || rs.fit.err() != nil {
		return nil, wire.ErrNotMe // whose Raft has ended counts in no majority
	}
	out := binary.AppendUvarint(nil, in.raft.CurrentTerm())
	return binary.AppendUvarint(out, uint64(time.Now().UnixMilli())), nil
}
