package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// farm is a log and the nodes that follow it. A node that is cut off neither proposes nor follows.
type farm struct {
	mu       sync.Mutex
	level    int
	clock    func() time.Time // the log's time
	entries  []entry
	nodes    []*node
	proposed int
	fail     error  // of Propose
	answer   []byte // instead of the machine's, if not nil
	waitFail error
	lost     bool // commands are applied nowhere
}

type entry struct {
	now time.Time
	cmd []byte
}

// node is one node of a farm, and its handle to the log.
type node struct {
	farm    *farm
	name    string
	machine *Machine
	applied int
	cut     bool
	stopped bool // it has said so
	slow    bool // it follows only when it is asked to
	since   time.Time
}

func newFarm(n int) *farm {
	f := &farm{level: rotationLevel}
	f.clock = func() time.Time { return epoch.Add(time.Duration(len(f.entries)) * time.Second) }
	for i := range n {
		f.nodes = append(f.nodes, &node{farm: f, name: fmt.Sprint("n", i+1), machine: NewMachine()})
	}
	return f
}

func (f *farm) ring(i int) *Ring { return f.nodes[i].ring() }

func (n *node) ring() *Ring { return New(n, n.local) }

func (n *node) local() *Machine {
	n.farm.mu.Lock()
	defer n.farm.mu.Unlock()
	return n.machine
}

var errCut = errors.New("cut off")

func (n *node) Propose(_ context.Context, cmd []byte) (uint64, []byte, error) {
	f := n.farm
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proposed++
	switch {
	case n.cut || n.stopped:
		return 0, nil, errCut
	case f.fail != nil || f.lost:
		return 0, result{status: statusOK, id: 1}.encode(), f.fail
	case CommandLevel(cmd) > f.level:
		return 0, nil, fault.ErrLevel
	}
	f.entries = append(f.entries, entry{f.clock(), bytes.Clone(cmd)})
	var value []byte
	for _, m := range f.nodes {
		if m == n || !m.cut && !m.slow && !m.stopped {
			v := m.followLocked()
			if m == n {
				value = v
			}
		}
	}
	if f.answer != nil {
		value = f.answer
	}
	return uint64(len(f.entries)), value, nil
}

// followLocked has the node apply all there is, and returns the last answer.
func (n *node) followLocked() (value []byte) {
	for ; n.applied < len(n.farm.entries); n.applied++ {
		e := n.farm.entries[n.applied]
		value = n.machine.Apply(uint64(n.applied+1), e.now, e.cmd)
	}
	return value
}

func (n *node) Wait(context.Context, uint64) error { return n.farm.waitFail }

func (n *node) Barrier(context.Context) error {
	n.farm.mu.Lock()
	defer n.farm.mu.Unlock()
	if n.cut {
		return errCut
	}
	n.followLocked()
	return nil
}

func (n *node) Applied() uint64 {
	n.farm.mu.Lock()
	defer n.farm.mu.Unlock()
	return uint64(n.applied)
}

func (n *node) Spread(_ context.Context, index uint64) error {
	n.farm.mu.Lock()
	defer n.farm.mu.Unlock()
	for _, m := range n.farm.nodes {
		if !m.stopped && m.applied < int(index) {
			if m.cut || n.cut {
				return fmt.Errorf("node %s may be behind", m.name)
			}
			m.followLocked()
		}
	}
	return nil
}

func (n *node) Staleness() time.Duration {
	n.farm.mu.Lock()
	defer n.farm.mu.Unlock()
	if n.cut {
		return time.Since(n.since)
	}
	return 0
}

func (n *node) Level() int {
	n.farm.mu.Lock()
	defer n.farm.mu.Unlock()
	return n.farm.level
}

func (n *node) setCut(cut bool) {
	n.farm.mu.Lock()
	defer n.farm.mu.Unlock()
	n.cut, n.since = cut, time.Now()
	if !cut && !n.slow {
		n.followLocked()
	}
}

// do applies a command and returns what it came to.
func do(t testing.TB, m *Machine, now time.Time, cmd []byte) result {
	t.Helper()
	r, ok := decodeResult(m.Apply(1, now, cmd))
	if !ok {
		t.Fatalf("no answer to %x", cmd)
	}
	return r
}

func snapshot(tb testing.TB, m *Machine) []byte {
	tb.Helper()
	var b bytes.Buffer
	if n, err := m.Snapshot().WriteTo(&b); err != nil || n != int64(b.Len()) {
		tb.Fatal(n, err)
	}
	return b.Bytes()
}

func restored(tb testing.TB, snap []byte) *Machine {
	tb.Helper()
	m := NewMachine()
	if err := m.Restore(bytes.NewReader(snap)); err != nil {
		tb.Fatal(err)
	}
	return m
}
