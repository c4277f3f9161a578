package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// reads find out what must have been applied here before somebody reads, and ask the leader's copy. They hold
// nothing but the round of barriers that is under way, which has its own lock.
type reads struct {
	*base
	members  *members
	barriers rounds[indexAnswer]
}

func newReads(b *base, m *members) *reads {
	rs := &reads{base: b, members: m}
	rs.barriers = rounds[indexAnswer]{spawn: b.spawn,
		do: func() (indexAnswer, error) { return rs.askIndex(b.ctx, false) }}
	return rs
}

// Barrier returns when what this node reads afterwards is at least as new as anything acknowledged, anywhere,
// before the call. Concurrent calls share a question to the leader, but only one that was not yet asked.
//
// Errors: ErrNoLeader with the context's error joined, ErrClosed, or what Err says if this node's state has
// stopped.
func (h *Handle) Barrier(ctx context.Context) error {
	if err := h.node.reads.barrier(ctx); err != nil {
		return fmt.Errorf("cluster: barrier: %w", err)
	}
	return nil
}

func (rs *reads) barrier(ctx context.Context) error { return rs.catchUp(ctx, rs.barriers.join) }

// catchUp waits until this node has applied what the leader had when it was asked.
func (rs *reads) catchUp(ctx context.Context, ask func(context.Context) (indexAnswer, error)) error {
	return rs.retry(ctx, func() error {
		a, err := ask(ctx)
		if err != nil {
			return err
		}
		if err := rs.progress.wait(ctx, rs.stopped, a.index); err != nil {
			return err
		}
		rs.fit.fresh(a.asked)
		return nil
	})
}

// indexAnswer is the leader's answer to the question for the newest index, and when it was asked.
type indexAnswer struct {
	index uint64
	asked time.Time
}

// askIndex is one round of barriers. An answer that may wait is shared with those to other nodes.
func (rs *reads) askIndex(ctx context.Context, mayWait bool) (indexAnswer, error) {
	in := rs.instance()
	a := indexAnswer{asked: time.Now()}
	err := in.askLeader(ctx, func(ctx context.Context, leader string) (err error) {
		if leader == in.server {
			a.index, err = rs.leaderBarrier(ctx, mayWait)
			return err
		}
		out, _, err := rs.peers.Call(ctx, wire.NodeOf(leader), wire.MethodBarrier,
			[]byte{wire.BoolByte(mayWait)})
		if err != nil {
			return err
		}
		r := wire.NewReader(out)
		a.index = r.Uvarint()
		return r.End()
	})
	return a, err
}

func (rs *reads) leaderBarrier(ctx context.Context, mayWait bool) (uint64, error) {
	l := rs.instance().leading.now()
	if l == nil {
		return 0, wire.ErrNotLeader
	}
	if mayWait {
		return l.confirming.barrierAmong(ctx, &l.confirming.leisure)
	}
	return l.confirming.barrier(ctx)
}

// answerBarrier is the leader's side of askIndex. An older program says nothing with its question, which may
// not wait.
func (rs *reads) answerBarrier(ctx context.Context, payload []byte) ([]byte, error) {
	index, err := rs.leaderBarrier(ctx, len(payload) == 1 && payload[0] == 1)
	if err != nil {
		return nil, err
	}
	return binary.AppendUvarint(nil, index), nil
}

// Query asks the leader's copy of the machine. The answer is at least as new as anything acknowledged before
// the call, and nothing is kept of it here: it is the caller's own. q is not read any more once Query has
// returned.
//
// Errors: ErrNoLeader with the context's error joined, ErrTooLarge (question or answer over 16 MiB, between
// two nodes), ErrMachine if Query panicked, ErrLevel if the machine needs a higher protocol level than the
// one in force, ErrClosed, or what Err says if this node's state has stopped.
func (h *Handle) Query(ctx context.Context, q []byte) (answer []byte, err error) {
	if _, err = h.node.reads.atLevel(ctx, h.node.cfg.needs(h.name, nil)); err == nil {
		err = h.node.reads.retry(ctx, func() error {
			answer, err = h.node.reads.queryLeader(ctx, h.name, q)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: query: %w", err)
	}
	return answer, nil
}

func (rs *reads) queryLeader(ctx context.Context, machine string, q []byte) (out []byte, err error) {
	in := rs.instance()
	err = in.askLeader(ctx, func(ctx context.Context, leader string) error {
		if leader == in.server {
			out, err = rs.queryHere(ctx, machine, q)
			out = slices.Clone(out) // it may be a part of the state
			return err
		}
		out, _, err = rs.peers.Call(ctx, wire.NodeOf(leader), wire.MethodQuery,
			wire.AppendBytes(wire.AppendString(nil, machine), q))
		return err
	})
	return out, err
}

// queryHere answers from this node's copy after it has proved that it leads.
func (rs *reads) queryHere(ctx context.Context, machine string, q []byte) ([]byte, error) {
	in := rs.instance()
	m := in.fsm.Machine(machine)
	if m == nil {
		return nil, wire.ErrNoMachine
	}
	l := in.leading.now()
	if l == nil {
		return nil, wire.ErrNotLeader
	}
	if _, err := l.confirming.barrier(ctx); err != nil {
		return nil, err
	}
	return replica.Ask(m, q)
}

// answerQuery is the leader's side of queryLeader.
func (rs *reads) answerQuery(ctx context.Context, payload []byte) ([]byte, error) {
	r := wire.NewReader(payload)
	machine, q := r.Text(), r.Bytes()
	if err := r.End(); err != nil {
		return nil, err
	}
	return rs.queryHere(ctx, machine, q)
}

// retry calls f until it succeeds, fails for a reason that will not pass, or ctx ends.
func (rs *reads) retry(ctx context.Context, f func() error) error {
	var pause backoff
	for {
		other := rs.instance().leader.changes()
		err := f()
		switch {
		case err == nil, errors.Is(err, ErrClosed), errors.Is(err, wire.ErrNoMachine),
			errors.Is(err, ErrTooLarge), errors.Is(err, ErrMachine):
			return err
		case rs.ctx.Err() != nil:
			return ErrClosed
		case rs.progress.failure() != nil:
			return rs.progress.failure()
		case !pause.waitFor(ctx, other):
			return rs.noLeader(ctx)
		}
	}
}

// noLeader is the error of who has given up waiting: it says whether nobody leads, or somebody who does not
// answer.
func (rs *reads) noLeader(ctx context.Context) error {
	leader, _ := rs.instance().leader.get()
	switch wire.NodeOf(leader) {
	case "":
		return fmt.Errorf("%w: none is known here, as when fewer than a majority of the voters can be "+
			"reached: %w", ErrNoLeader, ctx.Err())
	case rs.id:
		return fmt.Errorf("%w: this node leads, and the others have not agreed in time: %w", ErrNoLeader,
			ctx.Err())
	}
	return fmt.Errorf("%w: %s leads, and did not answer in time: %w", ErrNoLeader, rs.members.nameOf(leader),
		ctx.Err())
}

// freshen keeps this node's staleness low while it has contact to a leader.
func (rs *reads) freshen() {
	for sleep.For(rs.ctx, freshenEvery) {
		ctx, cancel := context.WithTimeout(rs.ctx, freshenEvery)
		rs.catchUp(ctx, func(ctx context.Context) (indexAnswer, error) { return rs.askIndex(ctx, true) })
		cancel()
	}
}

const freshenEvery = 2 * time.Second
