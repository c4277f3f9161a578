package replica

import (
	"bytes"
	"io"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

// Entries and snapshots keep their form, which other releases read: testdata/fuzz has it.
func TestLogCorpus(t *testing.T) {
	corpus.Check(t, map[string]map[string][]byte{
		"FuzzEntry": {
			"commands": append(append(wire.EntryHeader(wire.EntryCommands, 5),
				batchBytes(commandBatch(7, 1, 1, "append x 1", "set y 2"))...),
				batchBytes(commandBatch(9, 1, 1))...),
			"register": wire.AppendRegistration(wire.EntryHeader(wire.EntryRegister, 5),
				wire.Registration{Origin: 1, Server: "a.1", Boot: 1, Floor: 1}),
			"open":   wire.EntryHeader(wire.EntryOpen, 5),
			"found":  append(wire.EntryHeader(wire.EntryFound, 5), 3),
			"formed": wire.EntryHeader(wire.EntryFormed, 5),
			"level":  append(wire.EntryHeader(wire.EntryLevel, 5), 2),
			"mark":   wire.EntryHeader(wire.EntryMark, 5),
			"level9": append(wire.EntryHeader(wire.EntryLevel, 5), 9),
		},
		"FuzzSnapshot": {"empty": newTestFSM(t).snapshot(), "full": fullFSM(t).snapshot(),
			"level2": []byte(snapshotMagic2 + "\x00\x00\x00\x08\x01\x01\x00\x00\x00\x00\x00\x02"),
			"level3": fullFSM(t).raised(wire.LevelSafety).snapshot()},
	})
}

func batchBytes(b wire.Batch) []byte { return wire.AppendBatch(nil, &b) }

func fullFSM(t *testing.T) *testFSM {
	f := newTestFSM(t, "a.1", "b.1")
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append x 1", "set y 2"))
	f.commands(commandBatch(7, 2, 1, "append x 2"))
	return f
}

// raised puts a level in force.
func (f *testFSM) raised(level byte) *testFSM {
	f.entry(append(wire.EntryHeader(wire.EntryLevel, 1), level))
	return f
}

func FuzzEntry(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		fsm := newTestFSM(t, "a.1")
		fsm.register(7, "a.1", 1)
		before, _ := fsm.View()
		corpus.Frugal(t, len(b), func() { fsm.entry(b) })
		if after, _ := fsm.View(); (after == before) != (fsm.fault != nil) {
			t.Fatalf("index %d after %d, fault %v: an entry is applied or stops the node", after, before,
				fsm.fault)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		fsm := newTestFSM(t, "a.1")
		var err error
		corpus.Frugal(t, len(b), func() { err = fsm.Restore(io.NopCloser(bytes.NewReader(b))) })
		if err != nil {
			return
		}
		again := newTestFSM(t, "a.1")
		whole := fsm.snapshot()
		if err := again.Restore(io.NopCloser(bytes.NewReader(whole))); err != nil {
			t.Fatalf("what was restored, and written again, is refused: %v", err)
		}
		if twice := again.snapshot(); !bytes.Equal(whole, twice) {
			t.Fatalf("%x is written as %x after a restore", whole, twice)
		}
	})
}
