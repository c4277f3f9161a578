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
)

// Barrier returns when what this node reads afterwards is at least as new as anything acknowledged, anywhere,
// before the call. Concurrent calls share a question to the leader, but only one that was not yet asked.
//
// Errors: ErrNoLeader with the context's error joined, ErrClosed, or what Err says if this node's state has
// stopped.
func (h *Handle) Barrier(ctx context.Context) error {
	if err := h.node.barrier(ctx); err != nil {
		return fmt.Errorf("cluster: barrier: %w", err)
	}
	return nil
}

func (n *Node) barrier(ctx context.Context) error { return n.catchUp(ctx, n.barriers.join) }

// catchUp waits until this node has applied what the leader had when it was asked.
func (n *Node) catchUp(ctx context.Context, ask func(context.Context) (indexAnswer, error)) error {
	return n.retry(ctx, func() error {
		a, err := ask(ctx)
		if err != nil {
			return err
		}
		if err := n.progress.wait(ctx, n.stopped, a.index); err != nil {
			return err
		}
		n.fit.fresh(a.asked)
		return nil
	})
}

// indexAnswer is the leader's answer to the question for the newest index, and when it was asked.
type indexAnswer struct {
	index uint64
	asked time.Time
}

// askIndex is one round of barriers. An answer that may wait is shared with those to other nodes.
func (n *Node) askIndex(ctx context.Context, mayWait bool) (indexAnswer, error) {
	in := n.instance()
	a := indexAnswer{asked: time.Now()}
	err := in.askLeader(ctx, func(ctx context.Context, leader string) (err error) {
		if leader == in.server {
			a.index, err = n.leaderBarrier(ctx, mayWait)
			return err
		}
		out, _, err := n.peers.Call(ctx, wire.NodeOf(leader), wire.MethodBarrier,
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

func (n *Node) leaderBarrier(ctx context.Context, mayWait bool) (uint64, error) {
	l := n.instance().lead.Load()
	if l == nil {
		return 0, wire.ErrNotLeader
	}
	if mayWait {
		return l.barrierAmong(ctx, &l.leisure)
	}
	return l.barrier(ctx)
}

// answerBarrier is the leader's side of askIndex. An older program says nothing with its question, which may
// not wait.
func (n *Node) answerBarrier(ctx context.Context, payload []byte) ([]byte, error) {
	index, err := n.leaderBarrier(ctx, len(payload) == 1 && payload[0] == 1)
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
	if _, err = h.node.atLevel(ctx, h.node.cfg.needs(h.name, nil)); err == nil {
		err = h.node.retry(ctx, func() error {
			answer, err = h.node.queryLeader(ctx, h.name, q)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: query: %w", err)
	}
	return answer, nil
}

func (n *Node) queryLeader(ctx context.Context, machine string, q []byte) (out []byte, err error) {
	in := n.instance()
	err = in.askLeader(ctx, func(ctx context.Context, leader string) error {
		if leader == in.server {
			out, err = n.queryHere(ctx, machine, q)
			out = slices.Clone(out) // it may be a part of the state
			return err
		}
		out, _, err = n.peers.Call(ctx, wire.NodeOf(leader), wire.MethodQuery,
			wire.AppendBytes(wire.AppendString(nil, machine), q))
		return err
	})
	return out, err
}

// queryHere answers from this node's copy after it has proved that it leads.
func (n *Node) queryHere(ctx context.Context, machine string, q []byte) ([]byte, error) {
	in := n.instance()
	m := in.fsm.Machine(machine)
	if m == nil {
		return nil, wire.ErrNoMachine
	}
	l := in.lead.Load()
	if l == nil {
		return nil, wire.ErrNotLeader
	}
	if _, err := l.barrier(ctx); err != nil {
		return nil, err
	}
	return replica.Ask(m, q)
}

// answerQuery is the leader's side of queryLeader.
func (n *Node) answerQuery(ctx context.Context, payload []byte) ([]byte, error) {
	r := wire.NewReader(payload)
	machine, q := r.Text(), r.Bytes()
	if err := r.End(); err != nil {
		return nil, err
	}
	return n.queryHere(ctx, machine, q)
}

// retry calls f until it succeeds, fails for a reason that will not pass, or ctx ends.
func (n *Node) retry(ctx context.Context, f func() error) error {
	var pause backoff
	for {
		err := f()
		switch {
		case err == nil, errors.Is(err, ErrClosed), errors.Is(err, wire.ErrNoMachine),
			errors.Is(err, ErrTooLarge), errors.Is(err, ErrMachine):
			return err
		case n.ctx.Err() != nil:
			return ErrClosed
		case n.progress.failure() != nil:
			return n.progress.failure()
		case !pause.wait(ctx):
			return n.noLeader(ctx)
		}
	}
}

// noLeader is the error of who has given up waiting: it says whether nobody leads, or somebody who does not
// answer.
func (n *Node) noLeader(ctx context.Context) error {
	leader, _ := n.instance().leader.get()
	switch wire.NodeOf(leader) {
	case "":
		return fmt.Errorf("%w: none is known here, as when fewer than a majority of the voters can be "+
			"reached: %w", ErrNoLeader, ctx.Err())
	case n.id:
		return fmt.Errorf("%w: this node leads, and the others have not agreed in time: %w", ErrNoLeader,
			ctx.Err())
	}
	return fmt.Errorf("%w: %s leads, and did not answer in time: %w", ErrNoLeader, n.members.nameOf(leader),
		ctx.Err())
}

// freshen keeps this node's staleness low while it has contact to a leader.
func (n *Node) freshen() {
	for sleep(n.ctx, freshenEvery) {
		ctx, cancel := context.WithTimeout(n.ctx, freshenEvery)
		n.catchUp(ctx, func(ctx context.Context) (indexAnswer, error) { return n.askIndex(ctx, true) })
		cancel()
	}
}

const freshenEvery = 2 * time.Second
