package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A state machine panics over a command. Every copy that meets the command stops, and says so, and whoever
// waits gets an answer.
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
				if !errors.Is(n.Err(), ErrMachine) || errors.Is(n.Err(), ErrVersion) ||
					!strings.Contains(n.Err().Error(), "told to") {
					l.t.Errorf("%s: %v, want ErrMachine, and what the machine said", n.conf.Name, n.Err())
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
				"Query": func(ctx context.Context) error {
					_,
						err := n.Handle("kv").Query(ctx, []byte("x"))
					return err
				},
				"Wait": func(ctx context.Context) error { return n.Handle("kv").Wait(ctx, 1<<40) },
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

// sickly is a kv that takes its time for a command, for a snapshot or for a question, and then panics.
type sickly struct {
	kv
	with any
}

func (m *sickly) Apply(index uint64, now time.Time, cmd []byte) []byte {
	if string(cmd) == "poison" {
		time.Sleep(50 * time.Millisecond)
		panic(m.with)
	}
	return m.kv.Apply(index, now, cmd)
}

func (m *sickly) Query(q []byte) []byte {
	if string(q) == "poison" {
		panic(m.with)
	}
	return m.kv.Query(q)
}

func (m *sickly) Restore(r io.Reader) error {
	m.kv.Restore(r)
	if m.Get("poison") != "" {
		panic(m.with)
	}
	return nil
}

// While a state machine takes long, and panics, everybody who asks the node is answered; it ends by itself,
// says why, and can be closed.
func TestNodeAnswersWhileACopyHalts(t *testing.T) {
	for _, c := range []struct {
		with any
		want error
	}{
		{"told to", ErrMachine},
		{errors.New("told to"), ErrMachine},
		{fmt.Errorf("%w: a command that is not known", ErrVersion), ErrVersion},
	} {
		unformed(t, 1, false, func(l *lab) {
			n := l.nodes[0]
			n.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
				return &sickly{kv{M: map[string]string{}}, c.with}
			}}
			n.start()
			l.ready(n)
			states := 0
			go n.Handle("kv").Propose(l.t.Context(), []byte("poison"))
			for began := time.Now(); time.Since(began) < time.Second; time.Sleep(time.Millisecond) {
				n.State() // as a console does, or a health endpoint
				n.self()  // as a handshake does
				states++
			}
			if states < 900 {
				l.t.Errorf("%d looks at the state within a second", states)
			}
			select {
			case <-n.Failed():
			default:
				l.t.Fatal("the node has not ended")
			}
			for _, sentinel := range []error{ErrMachine, ErrVersion} {
				if errors.Is(n.Err(), sentinel) != (sentinel == c.want) {
					l.t.Errorf("a panic with %v ends the node with %v", c.with, n.Err())
				}
			}
			began := time.Now()
			n.stop()
			if d := time.Since(began); d > 5*time.Second {
				l.t.Errorf("closing took %v", d)
			}
		})
	}
}

// If a state machine panics over a question, that is the answer to it, on every node, and no node ends.
func TestPanicInQuery(t *testing.T) {
	unformed(t, 2, false, func(l *lab) {
		for _, n := range l.nodes {
			n.conf.Join = n.everybody()
			n.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
				return &sickly{kv{M: map[string]string{}}, "told to"}
			}}
			n.start()
		}
		l.ready(l.nodes...)
		for _, n := range l.nodes {
			if _, err := n.Handle("kv").Query(l.ctx(20*time.Second),
				[]byte("poison")); !errors.Is(err, ErrMachine) {
				l.t.Errorf("%s: %v", n.conf.Name, err)
			}
			n.must("append x 1")
		}
	})
}

// unwritten is a kv whose state cannot be written.
type unwritten struct{ kv }

func (m *unwritten) Snapshot() io.WriterTo { return m }

func (m *unwritten) WriteTo(io.Writer) (int64, error) { panic("told to") }

// A panic while a frozen state is written, for a mark, a snapshot of raft's or a backup, halts the copy and
// nothing else.
func TestPanicInWriteTo(t *testing.T) {
	for what, write := range map[string]func(l *lab, n *labNode) error{
		"mark": func(l *lab, n *labNode) error {
			in := n.instance()
			s, index, err := in.fsm.Freeze()
			if err != nil {
				return err
			}
			in.witness.marked(index, s)
			select {
			case <-n.Failed():
			case <-l.ctx(time.Minute).Done():
			}
			return n.Err()
		},
		"snapshot": func(_ *lab, n *labNode) error {
			n.instance().snapshotting.take(1, 1)
			return n.Err()
		},
		"backup": func(_ *lab, n *labNode) error {
			_, err := n.WriteSnapshot(io.Discard)
			return err
		},
	} {
		unformed(t, 1, true, func(l *lab) {
			n := l.nodes[0]
			n.conf.Machines = map[string]func() StateMachine{
				"kv": func() StateMachine { return &unwritten{kv{M: map[string]string{}}} }}
			n.start()
			l.ready(n)
			if err := write(l, n); !errors.Is(err, ErrMachine) {
				l.t.Errorf("%s: %v, want ErrMachine", what, err)
			}
			if err := n.Err(); !errors.Is(err, ErrMachine) || !strings.Contains(err.Error(), "told to") {
				l.t.Errorf("%s: the node ended by %v", what, err)
			}
			n.stop()
		})
	}
}

// A leader whose copy has stopped knows no index that covers what others acknowledged.
func TestNoBarrierFromAHaltedLeader(t *testing.T) {
	t.Parallel()
	inLab(t, 1, false, func(l *lab) {
		n := l.nodes[0]
		n.must("append x 1")
		n.instance().fsm.Stop()
		lead := n.instance().leading.now()
		if _, err := lead.confirming.barrier(l.ctx(time.Second)); !errors.Is(err, wire.ErrNotLeader) {
			l.t.Errorf("barrier: %v", err)
		}
		n.stop()
	})
}
