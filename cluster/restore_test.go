package cluster

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

func kvAnd(names ...string) map[string]func() StateMachine {
	m := map[string]func() StateMachine{"kv": newKV}
	for _, name := range names {
		m[name] = newKV
	}
	return m
}

// A program that lacks one of the state machines in the snapshot on its disk says so, and does nothing else.
func TestOpenWithSnapshotOfUnknownMachine(t *testing.T) {
	dir := t.TempDir()
	n, err := Open(t.Context(), Config{Dir: dir, Expect: 1, Machines: kvAnd("more"), Logger: testLogger()})
	if err != nil {
		t.Fatal(err)
	}
	ready(t, n)
	propose(t, n, "append x 1")
	if err := n.instance().snapshot(1, 1); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Config{Dir: dir, Machines: kvAnd(), Logger: testLogger()})
	if !errors.Is(err, ErrVersion) {
		t.Errorf("Open without a machine of the snapshot: %v, want ErrVersion", err)
	}
	n, err = Open(t.Context(), Config{Dir: dir, Machines: kvAnd("more"), Logger: testLogger()})
	if err != nil {
		t.Fatal("with the right program again:", err)
	}
	ready(t, n)
	if got := local(n, "x"); got != "1," {
		t.Errorf("x = %q", got)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// A snapshot that ends in the middle leaves some machines new and some old. Nothing may be applied to such a state.
func TestNothingIsAppliedToHalfARestore(t *testing.T) {
	f := newTestFSM(t, "a.1")
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append x 1"))
	whole := f.snapshot()

	g := newTestFSM(t, "a.1")
	broken := append([]byte(nil), whole...)
	broken[len(broken)-1]++ // the checksum: found out when every machine was restored
	if err := g.Restore(io.NopCloser(bytes.NewReader(broken))); err == nil {
		t.Fatal("a damaged snapshot was restored")
	}
	g.entry(wire.AppendRegistration(wire.EntryHeader(wire.EntryRegister, 1), wire.Registration{Origin: 7, Server: "a.1", Boot: 1, Floor: 1}))
	g.commands(commandBatch(7, 1, 1, "append x 1"))
	if got := g.kv().Get("x"); got == "1,1," {
		t.Error("an entry that the half-restored state had already was applied to it again")
	}
	if g.fault == nil {
		t.Error("the state goes on with machines that do not fit together")
	}
}

func TestASecondRestoreMendsTheFirst(t *testing.T) {
	f := newTestFSM(t, "a.1")
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append x 1"))
	whole := f.snapshot()

	g := newTestFSM(t, "a.1")
	broken := append([]byte(nil), whole...)
	broken[len(broken)-1]++
	if err := g.Restore(io.NopCloser(bytes.NewReader(broken))); err == nil {
		t.Fatal("a damaged snapshot was restored")
	}
	if err := g.Restore(io.NopCloser(bytes.NewReader(whole))); err != nil {
		t.Fatal(err)
	}
	g.index = f.index
	g.commands(commandBatch(7, 2, 1, "append x 2"))
	if got := g.kv().Get("x"); got != "1,2," {
		t.Errorf("x = %q", got)
	}
}

// slowKV takes its time to be restored, and does not bear being frozen meanwhile.
type slowKV struct {
	kv
	busy chan struct{} // closed when Restore has begun
	bad  bool
	in   bool
}

func (s *slowKV) Restore(r io.Reader) error {
	s.in = true
	defer func() { s.in = false }()
	close(s.busy)
	time.Sleep(50 * time.Millisecond)
	return s.kv.Restore(r)
}

func (s *slowKV) Snapshot() io.WriterTo {
	s.bad = s.bad || s.in
	return s.kv.Snapshot()
}

// Apply, Snapshot and Restore are called one at a time, whoever asks for the snapshot.
func TestFreezeKeepsOutOfRestore(t *testing.T) {
	f := newTestFSM(t, "a.1")
	whole := f.snapshot()
	g := newTestFSM(t, "a.1")
	m := &slowKV{kv: kv{M: map[string]string{}}, busy: make(chan struct{})}
	g.machines["kv"] = m
	done := make(chan error)
	go func() { done <- g.Restore(io.NopCloser(bytes.NewReader(whole))) }()
	<-m.busy
	g.freeze()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if m.bad {
		t.Error("Snapshot was called while Restore was at work")
	}
}

// The log's time goes on from where it was, also if it is ahead of all clocks and the leader has just come back from disk.
func TestTimeGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		ahead := time.Now().Add(time.Hour)
		if err := n.instance().raft.Apply(wire.EntryHeader(wire.EntryOpen, uint64(ahead.UnixMilli())), time.Second).Error(); err != nil {
			l.t.Fatal(err)
		}
		n.must("append x 1")
		n.kill()
		n.start()
		l.ready(n)
		n.must("append x 2")
		before := n.now()
		time.Sleep(time.Minute)
		n.must("append x 3")
		if d := n.now().Sub(before); before.Before(ahead) || d < 59*time.Second {
			l.t.Errorf("after the restart the log's time is %v, an hour ahead is %v; it went on by %v in a minute", before, ahead, d)
		}
	})
}

func (n *labNode) now() time.Time {
	m := n.Handle("kv").Local().(*kv)
	m.Mu.Lock()
	defer m.Mu.Unlock()
	return m.Now
}
