package session_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/session"
)

// testLog replicates a session machine to several nodes in this process. It orders commands as a real log does; each
// node's copy follows at its own pace and can be held back or cut off.
type testLog struct {
	mu      sync.Mutex
	changed sync.Cond
	entries []logEntry
	truth   *session.Machine // the leader's copy
	nodes   []*testNode
	closed  bool
	down    bool // no leader
}

type logEntry struct {
	at  time.Time
	cmd []byte
}

// testNode is one node: a session.Log.
type testNode struct {
	log     *testLog
	machine *session.Machine
	applied int
	held    bool          // does not follow the log
	cut     bool          // reaches nobody and follows nothing
	lag     time.Duration // follows this much later
	contact time.Time

	proposed, barriers, queries int
}

func newTestLog(t testing.TB, nodes int) *testLog {
	l := &testLog{truth: session.NewMachine()}
	l.changed.L = &l.mu
	var wg sync.WaitGroup
	for range nodes {
		n := &testNode{log: l, machine: session.NewMachine(), contact: time.Now()}
		l.nodes = append(l.nodes, n)
		wg.Go(n.follow)
	}
	t.Cleanup(func() {
		l.set(func() { l.closed = true })
		wg.Wait()
	})
	return l
}

func (l *testLog) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.changed.Broadcast()
}

func (n *testNode) follow() {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	for !n.log.closed {
		if n.cut || n.held || n.applied == len(n.log.entries) {
			n.log.changed.Wait()
			continue
		}
		if n.lag > 0 {
			lag := n.lag
			n.log.mu.Unlock()
			<-time.After(lag)
			n.log.mu.Lock()
			if n.cut || n.held {
				continue
			}
		}
		e := n.log.entries[n.applied]
		n.machine.Apply(uint64(n.applied+1), e.at, e.cmd)
		n.applied++
		n.log.changed.Broadcast()
	}
}

// until waits for ok, called with the log locked, or for ctx.
func (n *testNode) until(ctx context.Context, ok func() bool) error {
	stop := context.AfterFunc(ctx, func() { n.log.set(func() {}) })
	defer stop()
	for !ok() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n.log.changed.Wait()
	}
	return nil
}

func (n *testNode) reaches() bool { return !n.cut && !n.log.down }

func (n *testNode) Propose(ctx context.Context, cmd []byte) (uint64, []byte, error) {
	l := n.log
	l.mu.Lock()
	defer l.mu.Unlock()
	n.proposed++
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	if n.until(ctx, n.reaches) != nil {
		return 0, nil, session.ErrNoLeader
	}
	e := logEntry{time.Now(), append([]byte(nil), cmd...)}
	l.entries = append(l.entries, e)
	index := len(l.entries)
	value := l.truth.Apply(uint64(index), e.at, e.cmd)
	l.changed.Broadcast()
	if n.until(ctx, func() bool { return n.applied >= index }) != nil {
		return 0, nil, session.ErrUncertain
	}
	return uint64(index), value, nil
}

func (n *testNode) Query(ctx context.Context, q []byte) ([]byte, error) {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	n.queries++
	if n.until(ctx, n.reaches) != nil {
		return nil, session.ErrNoLeader
	}
	return n.log.truth.Query(q), nil
}

func (n *testNode) Barrier(ctx context.Context) error {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	n.barriers++
	if n.until(ctx, n.reaches) != nil {
		return session.ErrNoLeader
	}
	index := len(n.log.entries)
	return n.until(ctx, func() bool { return n.applied >= index })
}

func (n *testNode) Wait(ctx context.Context, index uint64) error {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	return n.until(ctx, func() bool { return uint64(n.applied) >= index })
}

func (n *testNode) Applied() uint64 {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	return uint64(n.applied)
}

func (n *testNode) Spread(ctx context.Context, index uint64) error {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	return n.until(ctx, func() bool {
		return !slices.ContainsFunc(n.log.nodes, func(other *testNode) bool { return uint64(other.applied) < index })
	})
}

func (n *testNode) Level() int { return 3 }

func (n *testNode) Staleness() time.Duration {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	if n.reaches() && !n.held {
		n.contact = time.Now()
	}
	return time.Since(n.contact)
}

// counts returns what the node has asked of the log so far.
func (n *testNode) counts() (proposed, barriers, queries int) {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	return n.proposed, n.barriers, n.queries
}

func (n *testNode) store() session.Store {
	return session.NewReplicated(n, func() *session.Machine { return n.machine }, func() string { return "cluster one" })
}

// testKeys is a key ring shared by the nodes of a test.
type testKeys struct{ key []byte }

func (k *testKeys) Current(purpose string) (uint32, []byte, bool) { return 7, k.key, k.key != nil }

func (k *testKeys) Key(purpose string, id uint32) ([]byte, bool) {
	return k.key, k.key != nil && id == 7
}

func (k *testKeys) Await(_ context.Context, purpose string, id uint32) error {
	if k.key == nil {
		return errors.New("none was made yet")
	}
	return nil
}

var sharedKeys = &testKeys{[]byte("0123456789abcdef0123456789abcdef")}

// count returns how many commands there are.
func (l *testLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}
