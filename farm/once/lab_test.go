package once

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// lab is a farm of clients in a bubble. It has one log, and does to its nodes what happens to them: they are
// cut off, late, killed and started again, their answers are lost, and their copies of the state are replaced.
// What package cluster adds to that is tested with real farms.
type lab struct {
	t     *testing.T
	rng   *rand.Rand // of the test's own goroutine
	tune  func(*Client)
	watch func(cmd []byte, a state.Answer) // told of each entry

	mu         sync.Mutex
	truth      *Machine // has the whole log
	entries    []entry
	clock      logClock
	leaderless bool
	level      int             // 0: that of Machine
	deaf       map[string]bool // runs that gossip does not hear of
	proposals  int
	barriers   int
	luck       *rand.Rand
	nodes      []*labNode
	changed    chan struct{} // closed when something about the nodes has changed
	cancels    []context.CancelFunc
}

type entry struct {
	now time.Time
	cmd []byte
}

// labNode is one run of a node.
type labNode struct {
	*Client
	lab     *lab
	name    string
	run     string
	machine atomic.Pointer[Machine]
	wall    atomic.Int64 // ns that its clock of day is ahead
	looks   atomic.Int64 // at its copy
	logged  journal
	news    *News
	applied int
	cut     bool
	late    bool          // its copy does not go on
	lossy   bool          // answers are lost, and some requests are late
	ended   chan struct{} // closed when its process is known to be over
	dead    bool
}

// journal is what a node logged.
type journal struct {
	mu    sync.Mutex
	lines []string
}

// Write implements io.Writer.
func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(line))
	return len(line), nil
}

// about returns the lines that have a word.
func (j *journal) about(word string) (out []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if strings.Contains(l, word) {
			out = append(out, l)
		}
	}
	return out
}

func (n *labNode) local() *Machine {
	n.looks.Add(1)
	return n.machine.Load()
}

func inLab(t *testing.T, nodes int, f func(l *lab)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 1)
		defer l.close()
		for range nodes {
			l.add()
		}
		f(l)
	})
}

func newLab(t *testing.T, seed uint64) *lab {
	return &lab{t: t, rng: rand.New(rand.NewPCG(seed, 2)), luck: rand.New(rand.NewPCG(seed, 3)),
		truth: NewMachine(new(News)), clock: logClock{stamp: time.Now(), at: time.Now()},
		deaf: map[string]bool{}, changed: make(chan struct{}), tune: func(*Client) {}, watch: func([]byte, state.Answer) {}}
}

func (l *lab) close() {
	l.change(func() { l.leaderless = false })
	for _, n := range l.nodes {
		l.heal(n)
	}
	for _, n := range l.nodes {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := n.Close(ctx); err != nil && !n.dead {
			l.t.Error(err)
		}
		cancel()
	}
	for _, cancel := range l.cancels {
		cancel()
	}
	time.Sleep(time.Minute) // for what is on its way
}

// add starts a node.
func (l *lab) add() *labNode { return l.start(fmt.Sprintf("n%d", len(l.nodes)+1)) }

// start starts a run of the node of that name, which has a snapshot of the state.
func (l *lab) start(name string) *labNode {
	n := &labNode{lab: l, name: name, run: name, news: new(News), ended: make(chan struct{})}
	for _, other := range l.nodes {
		if other.name == name {
			n.run += "'"
			n.wall.Store(other.wall.Load()) // it is the same machine
		}
	}
	n.machine.Store(NewMachine(n.news))
	n.Client = New(Config{Log: n, Local: n.local, News: n.news, Run: n.run, Node: n.name, Role: "role of " + name,
		Now: n.timeOfDay, Ended: l.ended, Alive: l.alive, Logger: slog.New(slog.NewTextHandler(&n.logged, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	l.tune(n.Client)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = append(l.nodes, n)
	l.replaceLocked(n)
	return n
}

// replaceLocked has a node go on with another copy of the state, which has told of it before it is there, as
// in package cluster.
func (l *lab) replaceLocked(n *labNode) {
	var b bytes.Buffer
	l.truth.Snapshot().WriteTo(&b)
	m := NewMachine(n.news)
	if err := m.Restore(&b); err != nil {
		l.t.Error(err)
	}
	n.machine.Store(m)
	n.applied = len(l.entries)
}

func (l *lab) ended(ctx context.Context, run string) error {
	l.mu.Lock()
	var of *labNode
	for _, n := range l.nodes {
		if n.run == run {
			of = n
		}
	}
	l.mu.Unlock()
	if of == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case <-of.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lab) alive(run string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.nodes {
		if n.run == run {
			return !n.cut && !n.dead && !l.deaf[run]
		}
	}
	return false
}

func (l *lab) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.spreadLocked()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *lab) cut(n *labNode) { l.change(func() { n.cut = true }) }
func (l *lab) heal(n *labNode) {
	l.change(func() { n.cut, n.late, n.lossy = n.dead, false, false })
}

// kill ends a node as a killed process does: nothing of it reaches the log any more, and its port tells.
func (l *lab) kill(n *labNode) {
	l.crash(n)
	close(n.ended)
}

// crash ends a node whose machine is gone as well: nothing tells of its end.
func (l *lab) crash(n *labNode) { l.change(func() { n.cut, n.dead = true, true }) }

func (l *lab) spreadLocked() {
	for _, n := range l.nodes {
		for !n.cut && !n.late && n.applied < len(l.entries) {
			e := l.entries[n.applied]
			n.applied++
			n.machine.Load().Apply(uint64(n.applied), e.now, e.cmd)
		}
	}
}

// appendLocked puts a command into the log.
func (l *lab) appendLocked(cmd []byte) (index uint64, value []byte) {
	now := l.clock.now(l.clocksLocked())
	if n := len(l.entries); n > 0 && now.Before(l.entries[n-1].now) {
		now = l.entries[n-1].now // the log's time never goes back
	}
	l.entries = append(l.entries, entry{now, append([]byte(nil), cmd...)})
	l.proposals++
	index = uint64(len(l.entries))
	value = l.truth.Apply(index, now, cmd)
	a, err := state.DecodeAnswer(value)
	if err != nil || a.Code == state.Malformed {
		l.t.Errorf("%x: %+v, %v", cmd, a, err)
	}
	l.watch(cmd, a)
	l.spreadLocked()
	close(l.changed)
	l.changed = make(chan struct{})
	return index, value
}

// when waits until something is so, and then calls f, both under the lab's lock.
func (l *lab) when(ctx context.Context, so func() bool, f func()) error {
	for {
		l.mu.Lock()
		if so() {
			f()
			l.mu.Unlock()
			return nil
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", fault.ErrNoLeader, ctx.Err())
		}
	}
}

func (n *labNode) reaches() bool { return !n.cut && !n.lab.leaderless }

// Propose implements Log. An entry takes a millisecond.
func (n *labNode) Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error) {
	time.Sleep(time.Millisecond)
	l, lost := n.lab, false
	err = l.when(ctx, n.reaches, func() {
		if l.level > 0 {
			return
		}
		if n.lossy {
			switch l.luck.IntN(12) {
			case 0, 1, 2: // carried out, and not answered
				lost = true
			case 3, 4: // carried out later
				lost = true
				late := append([]byte(nil), cmd...)
				time.AfterFunc(time.Duration(l.luck.IntN(4000))*time.Millisecond, func() {
					l.mu.Lock()
					defer l.mu.Unlock()
					l.appendLocked(late)
				})
				return
			}
		}
		index, value = l.appendLocked(cmd)
	})
	switch {
	case lost:
		return 0, nil, fault.ErrUncertain
	case err == nil && index == 0:
		return 0, nil, fault.ErrLevel
	case err != nil:
		return 0, nil, err
	}
	if err := l.when(ctx, func() bool { return n.applied >= int(index) }, func() {}); err != nil {
		return index, value, fmt.Errorf("%w: %w", fault.ErrUncertain, ctx.Err())
	}
	return index, value, nil
}

// Barrier implements Log.
func (n *labNode) Barrier(ctx context.Context) error {
	time.Sleep(time.Millisecond)
	l, index := n.lab, 0
	var fails error
	err := l.when(ctx, n.reaches, func() {
		l.barriers++
		index = len(l.entries)
		if n.lossy && l.luck.IntN(4) == 0 {
			fails = fault.ErrNoLeader
		}
	})
	if err := errors.Join(err, fails); err != nil {
		return err
	}
	return l.when(ctx, func() bool { return n.applied >= index }, func() {})
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
