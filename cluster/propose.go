package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A Handle is a client of one replicated state machine. It works on every member, wherever the leader is.
type Handle struct {
	node *Node
	name string
}

// Handle returns the client of the state machine called name. It panics if Config.Machines has none of that
// name.
func (n *Node) Handle(name string) *Handle {
	if n.cfg.Machines[name] == nil {
		panic(fmt.Sprintf("cluster: Handle(%q): Config.Machines has no state machine of that name", name))
	}
	return &Handle{n, name}
}

// Level returns the protocol level in force, as far as this node knows: commands that need a higher one are
// refused. It goes up when all members run a program that speaks more (see Node.Finalize). It does not go
// down, not even when an operator restores a backup of a farm that worked at a lower one.
func (h *Handle) Level() int { return int(h.node.local.Load().Level()) }

// Propose replicates cmd and returns the index at which it was applied and the machine's answer. It returns
// once this node has applied it too. It works on every member; retries are internal, and a command is never
// applied twice.
//
// cmd is read until Propose returns, and not any more from then on. value is the caller's own.
//
// An error with an index above 0 says that the command was done, at that index and with that answer, and only
// this node does not have it yet: it is late, or it is ending. A node that has applied the index shows what
// it did. In all other cases the index is 0.
//
// Errors: ErrNoLeader (nothing left this node before ctx ended), ErrUncertain (ctx ended, or the node was
// closed, while the outcome was open), ErrOverloaded (it would have to wait for too long behind others; it
// was not done), ErrTooLarge (over 512 KiB), ErrLevel (needs a higher protocol level, see Config.Levels; it
// was not done), ErrDiverged (the farm takes no writes until people have decided which copy of its state is
// right; it was not done), ErrClosed (nothing was sent), what Err says (this node's state has stopped;
// nothing was sent). The context's own error is joined.
func (h *Handle) Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error) {
	if len(cmd) > wire.MaxCommandBytes {
		return 0, nil, fmt.Errorf("cluster: command of %d bytes: %w", len(cmd), ErrTooLarge)
	}
	h.node.meters.waiting.Add(1, len(cmd))
	defer h.node.meters.answered(time.Now(), len(cmd), &err)
	for {
		in, err := h.node.reads.atLevel(ctx, h.node.cfg.needs(h.name, cmd))
		if err != nil {
			return 0, nil, fmt.Errorf("cluster: propose: %w", err)
		}
		p := &proposal{machine: h.name, cmd: cmd, done: make(chan outcome, 1)}
		p.until, _ = ctx.Deadline()
		in.origin.submit(p)
		out := h.await(ctx, in.origin, p)
		switch {
		case errors.Is(out.err, errMoved):
			if err := h.node.reads.pause(ctx); err != nil {
				return 0, nil, fmt.Errorf("cluster: propose: %w", err)
			}
			continue
		case out.err != nil:
			return 0, nil, fmt.Errorf("cluster: propose: %w", out.err)
		}
		if err := h.Wait(ctx, out.index); err != nil {
			return out.index, out.value, fmt.Errorf("cluster: propose: %w: %w", ErrUncertain, err)
		}
		return out.index, out.value, nil
	}
}

func (h *Handle) await(ctx context.Context, o *originator, p *proposal) outcome {
	select {
	case out := <-p.done:
		return out
	case <-ctx.Done():
		maybe := p.giveUp()
		overloaded := o.leave(p)
		select {
		case out := <-p.done: // it came all the same
			return out
		default:
		}
		if maybe {
			return outcome{err: fmt.Errorf("%w: %w", ErrUncertain, ctx.Err())}
		}
		if overloaded {
			return outcome{err: fmt.Errorf("%w: %w", ErrOverloaded, ctx.Err())}
		}
		return outcome{err: h.node.reads.noLeader(ctx)}
	}
}

// pause waits a moment for the node's next Raft instance, or says that there will be none.
func (rs *reads) pause(ctx context.Context) error {
	if err := rs.progress.failure(); err != nil {
		return err
	}
	select {
	case <-rs.stopped:
		return ErrClosed
	case <-ctx.Done():
		return rs.noLeader(ctx)
	case <-time.After(5 * time.Millisecond):
		return nil
	}
}

// Wait returns when this node has applied index: nil, ErrClosed, what Err says if this node's state has
// stopped, or the context's error.
func (h *Handle) Wait(ctx context.Context, index uint64) error {
	return h.node.progress.wait(ctx, h.node.stopped, index)
}

// Applied returns the index of the last entry this node has applied; it only rises.
func (h *Handle) Applied() uint64 { return h.node.progress.load() }

// Local returns this node's own copy of the state machine, for local reads. It is another one after the node
// has restored a snapshot, or had to replace its Raft instance, so ask for it each time.
func (h *Handle) Local() StateMachine { return h.node.local.Load().Machine(h.name) }

// Staleness returns how old this node's knowledge may be: the time since it asked for the newest index, of
// the last such question whose answer it has applied. Before the first one it is very long.
func (h *Handle) Staleness() time.Duration { return h.node.fit.staleness() }
