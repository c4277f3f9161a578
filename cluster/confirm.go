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

// barrier returns the index that a reader must have applied to be as new as anything acknowledged before the
// call.
func (l *leadership) barrier(ctx context.Context) (index uint64, err error) {
	return l.barrierAmong(ctx, &l.barr)
}

func (l *leadership) barrierAmong(ctx context.Context, those *rounds[uint64]) (index uint64, err error) {
	if err := l.await(ctx); err != nil {
		return 0, err
	}
	err = wire.ErrNotLeader
	l.enter(func() bool {
		index, err = those.join(ctx)
		return true
	})
	return index, err
}

// leisure is the time between two barriers for nodes that only want to know how fresh they are. Each node
// asks every two seconds, and each barrier asks all voters: of a large farm they would hear of little else.
const leisure = 500 * time.Millisecond

// leisurely returns what lets that time pass between its calls.
func (l *leadership) leisurely() func() {
	var last time.Time
	return func() {
		if wait := time.Until(last.Add(leisure)); wait > 0 {
			sleep.For(l.ctx, wait)
		}
		last = time.Now()
	}
}

// confirm is one round: first the index, then the proof that no later term had begun when it was read.
func (l *leadership) confirm() (uint64, error) {
	index, _ := l.in.fsm.View()
	// the entries after that were not applied here, but perhaps acknowledged elsewhere
	if l.in.fsm.Stopped() {
		return 0, fmt.Errorf("%w: %w", wire.ErrNotLeader, replica.ErrStopped)
	}
	if err := l.askVoters(); err != nil {
		return 0, err
	}
	return index, nil
}

// askVoters asks every voter whether its term is still this one, and returns nil when a majority said so,
// this node included. raft's own VerifyLeader will not do: it counts non-voters, and answers to questions put
// before the call. The answers bring the voters' clocks along.
func (l *leadership) askVoters() error {
	return l.majority(func(ctx context.Context, voter string) error {
		if voter == l.in.server {
			return l.stillMine(l.in.raft.CurrentTerm())
		}
		return l.askVoter(ctx, voter)
	})
}

// majority asks every voter at once, for a second, and returns nil when more than half of all have no error.
func (l *leadership) majority(ask func(ctx context.Context, voter string) error) error {
	voters := l.in.voters()
	ctx, cancel := context.WithTimeout(l.ctx, time.Second)
	defer cancel()
	answers := make(chan error, len(voters))
	for _, v := range voters {
		l.wg.Go(func() { answers <- ask(ctx, v) })
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

func (l *leadership) askVoter(ctx context.Context, server string) error {
	out, _, err := l.in.node.peers.Call(ctx, wire.NodeOf(server), wire.MethodTerm, []byte(server))
	if err != nil {
		return err
	}
	r := wire.NewReader(out)
	term, clock := r.Uvarint(), r.Uvarint()
	if err := r.End(); err != nil {
		return err
	}
	l.clock.Sample(server, clock, time.Now())
	return l.stillMine(term)
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
