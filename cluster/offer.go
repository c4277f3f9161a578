package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A fresh batch is offered: the leader may refuse it, and its answer brings the credit for what follows. One
// that was sent before is proposed: what became of it then is open, so it waits for as long as it takes.
// Programs of v0.1 know no offers; all is proposed to them, and by them.

// way is how batches get to the leader.
type way struct {
	leader  string // NodeID
	via     any    // what a window belongs to: the connection, or the leadership here
	offer   func(context.Context, *wire.Batch) (leaderAnswer, wire.Credit, error)
	propose func(context.Context, *wire.Batch) (leaderAnswer, error)
}

// route returns the way to the leader, once it is open.
func (o *originator) route(ctx context.Context, leader string) (way, error) {
	if leader == o.server {
		l := o.leading.now()
		if l == nil {
			return way{}, wire.ErrNotLeader
		}
		return l.sequencer.way(), nil
	}
	conn, err := o.node.peers.Get(ctx, wire.NodeOf(leader))
	if err != nil {
		return way{}, err
	}
	return way{
		leader: wire.NodeOf(leader),
		via:    conn,
		offer: func(ctx context.Context, b *wire.Batch) (leaderAnswer, wire.Credit, error) {
			answer, err := conn.Call(ctx, wire.MethodOffer, wire.AppendBatch(make([]byte, 0, b.Size()), b))
			if err != nil {
				return leaderAnswer{}, wire.Credit{}, err
			}
			return parseOfferAnswer(answer)
		},
		propose: func(ctx context.Context, b *wire.Batch) (leaderAnswer, error) {
			answer, err := conn.Call(ctx, wire.MethodPropose, wire.AppendBatch(make([]byte, 0, b.Size()), b))
			if err != nil {
				return leaderAnswer{}, err
			}
			return parseProposeAnswer(answer)
		},
	}, nil
}

// way returns the way of the origin on the leader's own node.
func (s *sequencer) way() way {
	return way{
		leader: s.in.node.id,
		via:    s,
		offer: func(ctx context.Context, b *wire.Batch) (leaderAnswer, wire.Credit, error) {
			a, credit := s.offer(ctx, *b, true)
			return a.copied(), credit, nil
		},
		propose: func(ctx context.Context, b *wire.Batch) (leaderAnswer, error) {
			a, _ := s.offer(ctx, *b, false)
			return a.copied(), nil
		},
	}
}

func parseProposeAnswer(b []byte) (leaderAnswer, error) { return readProposeAnswer(wire.NewReader(b)) }

func parseOfferAnswer(b []byte) (leaderAnswer, wire.Credit, error) {
	r := wire.NewReader(b)
	credit := wire.ReadCredit(r)
	a, err := readProposeAnswer(r)
	return a, credit, err
}

func readProposeAnswer(r *wire.Reader) (leaderAnswer, error) {
	a := leaderAnswer{term: r.Uvarint()}
	a.Answer = wire.ReadAnswer(r)
	return a, r.End()
}

// send sends a batch and waits for its answer. It keeps the window.
func (o *originator) send(ctx context.Context, w way, b wire.Batch, fresh bool) (leaderAnswer, error) {
	if plain := o.begin(w); !fresh {
		return w.propose(ctx, &b)
	} else if !plain {
		began := time.Now()
		a, credit, err := w.offer(ctx, &b)
		if !errors.Is(err, ErrVersion) {
			o.answered(ctx, w.via, creditOf(credit), b.Count, began, errors.Join(err, a.err))
			return a, err
		}
		o.setPlain(w.via)
	}
	began := time.Now()
	a, err := w.propose(ctx, &b)
	o.answered(ctx, w.via, plainCredit, b.Count, began, errors.Join(err, a.err))
	return a, err
}

// begin opens a new window if the way is another one than before. It reports whether no credits are given
// there.
func (o *originator) begin(w way) (plain bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flow.begin(w.via)
	o.sentTo = w.leader
	return o.flow.plain
}

// setPlain takes note that the program at the other end of a connection gives no credits.
func (o *originator) setPlain(via any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flow.via == via {
		o.flow.plain, o.flow.credit = true, plainCredit
	}
	signal(o.wake)
}

// answered takes note of what an answer, or that nobody waits for it any more, says about the leader's speed.
func (o *originator) answered(ctx context.Context, via any, credit load, count int, began time.Time,
	err error) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.flow.answered(via, credit, count, now.Sub(began), now)
	case errors.Is(err, ErrOverloaded):
		o.flow.refused(via, now)
	case ctx.Err() != nil:
		o.flow.missed(via, count, now.Sub(began), now)
	}
}

// lost takes note that there is no way to a leader: for how long one will have to wait is not known then.
func (o *originator) lost() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flow.turn = 0
}

// answerPropose is the leader's side of proposing a batch.
func (ld *leading) answerPropose(ctx context.Context, payload []byte) ([]byte, error) {
	a, _, err := ld.answerBatch(ctx, payload, false)
	if err != nil {
		return nil, err
	}
	return appendProposeAnswer(nil, a), nil
}

// answerOffer is the leader's side of offering one.
func (ld *leading) answerOffer(ctx context.Context, payload []byte) ([]byte, error) {
	a, credit, err := ld.answerBatch(ctx, payload, true)
	if err != nil {
		return nil, err
	}
	return appendProposeAnswer(wire.AppendCredit(nil, credit), a), nil
}

func appendProposeAnswer(dst []byte, a leaderAnswer) []byte {
	return wire.AppendAnswer(binary.AppendUvarint(dst, a.term), a.Answer)
}

func (ld *leading) answerBatch(ctx context.Context, payload []byte, refusable bool) (leaderAnswer,
	wire.Credit, error) {
	r := wire.NewReader(payload)
	b := wire.ReadBatch(r)
	if err := r.End(); err != nil {
		return leaderAnswer{}, wire.Credit{}, err
	}
	if err := ld.acceptable(&b); err != nil {
		return leaderAnswer{}, wire.Credit{}, err // before it can reach the log
	}
	l := ld.now()
	if l == nil {
		return leaderAnswer{}, wire.Credit{}, wire.ErrNotLeader
	}
	if err := l.sequencer.admit(ctx, &b); err != nil {
		return leaderAnswer{}, wire.Credit{}, err
	}
	a, credit := l.sequencer.offer(ctx, b, refusable)
	return a, credit, a.err
}

// acceptable reports what is wrong with a batch that every node will have to apply. The machine of a newer
// program than this one, on its way to all, would stop the older ones.
func (ld *leading) acceptable(b *wire.Batch) error {
	var unknown error
	err := b.Each(func(machine, _ []byte) {
		if ld.node.cfg.Machines[string(machine)] == nil {
			unknown = fmt.Errorf("%w: %q", wire.ErrNoMachine, machine)
		}
	})
	return errors.Join(err, unknown)
}
