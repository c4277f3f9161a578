package replica

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/testkv"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Until level 2 is in force, snapshots are what level 1 reads; from then on they say so at once.
func TestSnapshotsOfLevels(t *testing.T) {
	f := newTestFSM(t, "a.1")
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append x 1"))
	if b := f.snapshot(); !bytes.HasPrefix(b, []byte(snapshotMagic)) {
		t.Errorf("at level 1 a snapshot begins with %q", b[:8])
	}
	f.entry(append(wire.EntryHeader(wire.EntryLevel, 1), 2))
	b := f.snapshot()
	if !bytes.HasPrefix(b, []byte(snapshotMagic2)) {
		t.Errorf("at level 2 a snapshot begins with %q", b[:8])
	}
	g := newTestFSM(t, "a.1")
	if err := g.Restore(io.NopCloser(bytes.NewReader(b))); err != nil || g.Level() != 2 ||
		g.kv().Get("x") != "1," {
		t.Errorf("restored level %d, x = %q: %v", g.Level(), g.kv().Get("x"), err)
	}
	old := newTestFSM(t, "a.1")
	old.conf.MaxLevel = 1
	if err := old.Restore(io.NopCloser(bytes.NewReader(b))); !errors.Is(err, fault.ErrVersion) ||
		!errors.Is(old.fault, fault.ErrVersion) {
		t.Errorf("a program of level 1 restored a snapshot of level 2: %v, and halted with %v", err,
			old.fault)
	}
	old = newTestFSM(t, "a.1")
	old.conf.MaxLevel = 1
	if old.entry(append(wire.EntryHeader(wire.EntryLevel, 1), 2)); !errors.Is(old.fault, fault.ErrVersion) {
		t.Errorf("a program of level 1 passed over an entry that puts level 2 in force: %v", old.fault)
	}
}

// The level never goes down, whatever the log says.
func TestLevelNeverFalls(t *testing.T) {
	f := newTestFSM(t, "a.1")
	f.entry(append(wire.EntryHeader(wire.EntryLevel, 1), 2))
	f.entry(append(wire.EntryHeader(wire.EntryLevel, 1), 1))
	if f.Level() != 2 || f.fault != nil {
		t.Errorf("level %d, fault %v", f.Level(), f.fault)
	}
}

// A machine begins to have a part in snapshots at its level, and a snapshot from before leaves it as it was
// made.
func TestSnapshotsBeforeAMachinesLevel(t *testing.T) {
	made := func() *testFSM {
		f := newTestFSM(t, "a.1")
		f.State = New(Config{Machines: func() map[string]Machine {
			return map[string]Machine{"kv": testkv.New(), "later": testkv.New()}
		},
			Since: map[string]int{"later": wire.LevelSafety}, MaxLevel: wire.ProtocolMax,
			Halt: func(err error) { f.fault = err }})
		f.configure("a.1")
		return f
	}
	f := made()
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append x 1"))
	before := f.snapshot()
	old := newTestFSM(t, "a.1")
	if err := old.Restore(io.NopCloser(bytes.NewReader(before))); err != nil || old.kv().Get("x") != "1," {
		t.Errorf("a program that lacks the machine: %v, x = %q", err, old.kv().Get("x"))
	}
	g := made()
	if err := g.Restore(io.NopCloser(bytes.NewReader(before))); err != nil {
		t.Error(err)
	}
	for _, f := range []*testFSM{f, g} {
		f.entry(append(wire.EntryHeader(wire.EntryLevel, 1), wire.LevelSafety))
		b := f.snapshot()
		if !bytes.Contains(b, []byte("\x05later")) {
			t.Errorf("the machine is not in the snapshot: %q", b)
		}
		h := made()
		if err := h.Restore(io.NopCloser(bytes.NewReader(b))); err != nil || f.fault != nil {
			t.Error(err, f.fault)
		}
	}
}
