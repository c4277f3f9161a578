package replica

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/testkv"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

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

// A panic over a snapshot halts the copy that is restored from it, and no more.
func TestPanicInRestore(t *testing.T) {
	f := newTestFSM(t, "a.1")
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append poison 1"))
	whole := f.snapshot()
	g := newTestFSM(t, "a.1")
	g.machines["kv"] = &sick{}
	if err := g.Restore(io.NopCloser(bytes.NewReader(whole))); !errors.Is(err, wire.ErrMachine) || !errors.Is(g.fault, wire.ErrMachine) {
		t.Errorf("restore: %v; the copy has stopped with %v", err, g.fault)
	}
	if _, err := g.Snapshot(); err == nil {
		t.Error("half a restore makes a snapshot")
	}
}

// sick panics when it is restored.
type sick struct{ testkv.Machine }

func (m *sick) Restore(io.Reader) error { panic("told to") }

// slowKV takes its time to be restored, and does not bear being frozen meanwhile.
type slowKV struct {
	testkv.Machine
	busy chan struct{} // closed when Restore has begun
	bad  bool
	in   bool
}

func (s *slowKV) Restore(r io.Reader) error {
	s.in = true
	defer func() { s.in = false }()
	close(s.busy)
	time.Sleep(50 * time.Millisecond)
	return s.Machine.Restore(r)
}

func (s *slowKV) Snapshot() io.WriterTo {
	s.bad = s.bad || s.in
	return s.Machine.Snapshot()
}

// Apply, Snapshot and Restore are called one at a time, whoever asks for the snapshot.
func TestFreezeKeepsOutOfRestore(t *testing.T) {
	f := newTestFSM(t, "a.1")
	whole := f.snapshot()
	g := newTestFSM(t, "a.1")
	m := &slowKV{Machine: testkv.Machine{M: map[string]string{}}, busy: make(chan struct{})}
	g.machines["kv"] = m
	done := make(chan error)
	go func() { done <- g.Restore(io.NopCloser(bytes.NewReader(whole))) }()
	<-m.busy
	g.Freeze()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if m.bad {
		t.Error("Snapshot was called while Restore was at work")
	}
}
