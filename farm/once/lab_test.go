package once

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// lab is a farm of clients in a bubble. It has one log, which reaches the nodes that are not cut off. What
// package cluster adds to that is tested with real farms.
type lab struct {
	t   *testing.T
	rng *rand.Rand

	mu      sync.Mutex
	index   uint64
	skew    time.Duration // of the log's clock
	entries []entry
	nodes   []*labNode
	changed chan struct{} // closed when something about the nodes has changed
	cancels []context.CancelFunc
}

type entry struct {
	now time.Time
	cmd []byte
}

// labNode is one run of a node.
type labNode struct {
	*Client
	lab     *lab
	run     string
	machine *Machine
	applied int
	cut     bool
	ended   chan struct{} // closed when its process is known to be over
	dead    bool
}

func inLab(t *testing.T, nodes int, f func(l *lab)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		l := &lab{t: t, rng: rand.New(rand.NewPCG(1, 2)), changed: make(chan struct{})}
		for range nodes {
			l.add()
		}
		defer func() {
			for _, n := range l.nodes {
				l.heal(n)
			}
			for _, n := range l.nodes {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if err := n.Close(ctx); err != nil && !n.dead {
					t.Error(err)
				}
				cancel()
			}
			for _, cancel := range l.cancels {
				cancel()
			}
		}()
		f(l)
	})
}

// add starts a node, which has the log from its beginning.
func (l *lab) add() *labNode {
	n := &labNode{lab: l, run: fmt.Sprintf("n%d", len(l.nodes)+1), ended: make(chan struct{})}
	news := new(News)
	n.machine = NewMachine(news)
	n.Client = New(Config{Log: n, Local: func() *Machine { return n.machine }, News: news, Run: n.run, Node: n.run,
		Ended: l.ended, Alive: l.alive, Logger: slog.New(slog.DiscardHandler)})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = append(l.nodes, n)
	l.spreadLocked()
	return n
}

func (l *lab) ended(ctx context.Context, run string) error {
	for _, n := range l.nodes {
		if n.run == run {
			select {
			case <-n.ended:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return errors.New("no such run")
}

func (l *lab) alive(run string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.nodes {
		if n.run == run {
			return !n.cut && !n.dead
		}
	}
	return false
}

func (l *lab) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
	l.spreadLocked()
}

func (l *lab) cut(n *labNode)  { l.change(func() { n.cut = true }) }
func (l *lab) heal(n *labNode) { l.change(func() { n.cut = n.dead }) }

// kill ends a node as a killed process does: nothing of it reaches the log any more, and its port tells.
func (l *lab) kill(n *labNode) {
	l.change(func() { n.cut, n.dead = true, true })
	close(n.ended)
}

func (l *lab) spreadLocked() {
	for _, n := range l.nodes {
		for !n.cut && n.applied < len(l.entries) {
			e := l.entries[n.applied]
			n.applied++
			n.machine.Apply(uint64(n.applied), e.now, e.cmd)
		}
	}
}

// reach waits until the node is not cut off, and then calls f.
func (n *labNode) reach(ctx context.Context, f func()) error {
	for {
		n.lab.mu.Lock()
		if !n.cut {
			f()
			n.lab.mu.Unlock()
			return nil
		}
		changed := n.lab.changed
		n.lab.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", fault.ErrNoLeader, ctx.Err())
		}
	}
}

// Propose implements Log. An entry takes a millisecond.
func (n *labNode) Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error) {
	time.Sleep(time.Millisecond)
	l := n.lab
	err = n.reach(ctx, func() {
		l.spreadLocked()
		e := entry{time.Now().Add(l.skew), append([]byte(nil), cmd...)}
		l.entries = append(l.entries, e)
		n.applied++
		index = uint64(n.applied)
		value = n.machine.Apply(index, e.now, e.cmd)
		l.spreadLocked()
	})
	return index, value, err
}

// Barrier implements Log.
func (n *labNode) Barrier(ctx context.Context) error {
	time.Sleep(time.Millisecond)
	return n.reach(ctx, func() {})
}

func (l *lab) context(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancels = append(l.cancels, cancel)
	return ctx
}

// until waits until something is so.
func (l *lab) until(within time.Duration, what string, f func() bool) {
	l.t.Helper()
	for end := time.Now().Add(within); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("after %v it is not yet so that %s", within, what)
		}
	}
}

func (l *lab) lock(n *labNode, name string) *Lease {
	l.t.Helper()
	lease, err := n.Lock(l.context(time.Hour), name)
	if err != nil {
		l.t.Fatal(err)
	}
	return lease
}
