package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/testkv"
)

// A caller that gives up may use its buffer again at once. At whatever moment that is, what is sent holds the
// whole command, or nothing of it.
func TestNoCommandIsTorn(t *testing.T) {
	const size = 64 << 10
	sent := 0
	for i := range 300 {
		buf := bytes.Repeat([]byte("a"), size)
		p := &proposal{machine: "kv", cmd: buf, done: make(chan outcome, 1)}
		out := newOutgoing()
		out.ps = []*proposal{p}
		used, early := make(chan struct{}), i%2 == 0
		go func() {
			defer close(used)
			for p.state.Load() == waiting && !early { // until it is claimed, below
			}
			p.giveUp()
			copy(buf, bytes.Repeat([]byte("b"), size))
		}()
		if out.seal() {
			sent++
			if bytes.ContainsRune(out.body, 'b') {
				t.Fatal("a batch holds what its caller wrote after it had given up")
			}
		}
		<-used
		out.release() // a batch that did not get through is put together anew
		if out.seal() {
			t.Fatal("a batch is sent for a caller that has given up")
		}
	}
	if sent == 0 {
		t.Error("nothing was sent at all")
	}
}

// lender is a state machine that returns its own memory, and uses it again.
type lender struct{ state, answer []byte }

func (m *lender) Apply(_ uint64, _ time.Time, cmd []byte) []byte {
	m.state = bytes.Clone(cmd)
	m.answer = append(m.answer[:0], cmd...)
	return m.answer
}
func (m *lender) Query([]byte) []byte       { return m.state }
func (m *lender) Snapshot() io.WriterTo     { return testkv.Frozen(m.state) }
func (m *lender) Restore(r io.Reader) error { return nil }

// What a caller gets is its own: it changes no replicated state, and nothing replicated changes it.
func TestAnswersBelongToTheCaller(t *testing.T) {
	unformed(t, 1, false, func(l *lab) {
		n := l.nodes[0]
		n.conf.Machines = map[string]func() StateMachine{"kv": newKV,
			"lender": func() StateMachine { return &lender{} }}
		n.start()
		l.ready(n)
		h := n.Handle("lender")
		propose := func(cmd string) []byte {
			_, v, err := h.Propose(l.ctx(20*time.Second), []byte(cmd))
			if err != nil || string(v) != cmd {
				l.t.Fatalf("%q was answered %q: %v", cmd, v, err)
			}
			return v
		}
		first := propose("one")
		second := propose("two")
		if string(first) != "one" {
			l.t.Errorf("a later command changed an earlier answer to %q", first)
		}
		before := n.written()
		clear(first)
		clear(second)
		q, err := h.Query(l.ctx(20*time.Second), nil)
		if err != nil || string(q) != "two" {
			l.t.Fatalf("query: %q, %v", q, err)
		}
		clear(q)
		if after := n.written(); !bytes.Equal(before, after) {
			l.t.Errorf("callers changed the replicated state from\n%q to\n%q", before, after)
		}
	})
}

// gated is a kv that applies nothing while its gate is shut.
type gated struct {
	kv
	gate chan struct{} // holds one while it is open
}

func (m *gated) Apply(index uint64, now time.Time, cmd []byte) []byte {
	m.gate <- <-m.gate
	return m.kv.Apply(index, now, cmd)
}

// A command was done, but the node that proposed it has not applied it in time. Its caller gets what came of
// it, beside the error.
func TestOutcomeOfALateNode(t *testing.T) {
	gate := make(chan struct{}, 1)
	unformed(t, 3, false, func(l *lab) {
		gate = make(chan struct{}, 1) // of this bubble
		gate <- struct{}{}
		late := l.nodes[2]
		late.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
			return &gated{kv: kv{M: map[string]string{}}, gate: gate}
		}}
		for i, n := range l.nodes {
			if i > 0 {
				n.conf.Join = []string{l.nodes[0].conf.Listen}
			}
			n.start()
			l.ready(n)
		}
		if leader, _ := l.leader(); leader == late {
			l.t.Fatal("the last one leads")
		}
		late.must("append x 1")
		shut := <-gate
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		defer cancel()
		index, value, err := late.Handle("kv").Propose(ctx, []byte("append x 2"))
		if index == 0 || string(value) != "1,2," || !errors.Is(err, ErrUncertain) ||
			!errors.Is(err, context.DeadlineExceeded) {
			l.t.Errorf("a node that is late: index %d, %q, %v", index, value, err)
		}
		gate <- shut
		if err := late.Handle("kv").Wait(l.ctx(20*time.Second), index); err != nil ||
			late.Handle("kv").Local().(*gated).Get("x") != "1,2," {
			l.t.Errorf("at that index x = %q: %v", late.Handle("kv").Local().(*gated).Get("x"), err)
		}
	})
}

// An answer that is there when the context ends is not thrown away.
func TestAnswerBesideTheEndOfTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // a select of two that are ready takes either
		p := &proposal{machine: "kv", done: make(chan outcome, 1)}
		p.done <- outcome{index: 7, value: []byte("v")}
		if out := (&Handle{}).await(ctx, newOriginator(nil, nil, nil), p); out.index != 7 || out.err != nil {
			t.Fatalf("%+v", out)
		}
	}
}
