package cluster

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

// A command that a state machine does not bear stops every copy that meets it, says so, and answers whoever waits.
func TestPanicInApply(t *testing.T) {
	t.Parallel()
	for _, onLeader := range []bool{true, false} {
		inLab(t, 3, false, func(l *lab) {
			leader, others := l.leader()
			n := others[0]
			if onLeader {
				n = leader
			}
			n.must("append x 1")
			if err := n.propose(5*time.Second, "panic now"); err == nil || errors.Is(err, ErrNoLeader) {
				l.t.Errorf("the command that stopped the state: %v", err)
			}
			time.Sleep(20 * time.Second)
			var halted []*labNode
			for _, n := range l.nodes {
				if n.Err() == nil {
					continue // two of three have stopped before this one heard that the command is committed
				}
				halted = append(halted, n)
				if !errors.Is(n.Err(), ErrVersion) {
					l.t.Errorf("%s: %v, want ErrVersion", n.conf.Name, n.Err())
				}
				if got := n.get("x"); got != "1," {
					l.t.Errorf("%s: x = %q", n.conf.Name, got)
				}
				if _, err := n.WriteSnapshot(io.Discard); err == nil {
					l.t.Errorf("%s wrote a snapshot of a state that has stopped", n.conf.Name)
				}
			}
			if len(halted) < 2 {
				l.t.Fatalf("%d of 3 nodes have stopped", len(halted))
			}
			n = halted[len(halted)-1]
			// Nobody answers any more, and nobody waits for ever, not even without a deadline.
			for name, f := range map[string]func(ctx context.Context) error{
				"Propose": func(ctx context.Context) error {
					_, _, err := n.Handle("kv").Propose(ctx, []byte("append x 2"))
					return err
				},
				"Barrier": n.Handle("kv").Barrier,
				"Query":   func(ctx context.Context) error { _, err := n.Handle("kv").Query(ctx, []byte("x")); return err },
				"Wait":    func(ctx context.Context) error { return n.Handle("kv").Wait(ctx, 1<<40) },
			} {
				ended := make(chan error, 1)
				ctx, cancel := context.WithCancel(l.t.Context())
				go func() { ended <- f(ctx) }()
				select {
				case err := <-ended:
					if err == nil {
						l.t.Errorf("%s on a state that has stopped succeeded", name)
					}
				case <-time.After(time.Minute):
					l.t.Errorf("%s waits for ever on a state that has stopped", name)
				}
				cancel()
			}
			for _, n := range halted {
				began := time.Now()
				n.stop()
				if d := time.Since(began); d > 2*time.Second {
					l.t.Errorf("closing took %v", d)
				}
			}
			for _, n := range l.nodes {
				if n.up {
					n.stop()
				}
			}
		})
	}
}

// A leader whose copy has stopped knows no index that covers what others acknowledged.
func TestNoBarrierFromAHaltedLeader(t *testing.T) {
	t.Parallel()
	inLab(t, 1, false, func(l *lab) {
		n := l.nodes[0]
		n.must("append x 1")
		n.instance().fsm.halted.Store(true)
		if _, err := n.instance().lead.Load().barrier(l.ctx(time.Second)); !errors.Is(err, errNotLeader) {
			l.t.Errorf("barrier: %v", err)
		}
		n.instance().fsm.halted.Store(false)
	})
}
