package replica

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// raisedFSM returns an fsm at a level, with an origin 7 that may propose.
func raisedFSM(t *testing.T, level byte) *testFSM {
	f := newTestFSM(t, "a.1", "b.1")
	f.register(7, "a.1", 1)
	return f.raised(level)
}

func (f *testFSM) sum() uint64 { return f.PointAt(f.index).Sum }

// Copies that applied and answered the same have the same hash at each index, also if one of them got the
// beginning by a snapshot. If one entry, index, term or answer is another one, the hashes differ.
func TestChain(t *testing.T) {
	apply := func(f *testFSM, from, to uint64) {
		for seq := from; seq <= to; seq++ {
			f.commands(commandBatch(7, seq, seq, fmt.Sprint("append x ", seq)))
		}
	}
	a, b := raisedFSM(t, wire.LevelSafety), raisedFSM(t, wire.LevelSafety)
	apply(a, 1, 20)
	apply(b, 1, 10)
	c := newTestFSM(t)
	if err := c.Restore(io.NopCloser(bytes.NewReader(b.snapshot()))); err != nil {
		t.Fatal(err)
	}
	c.index = b.index
	apply(b, 11, 20)
	apply(c, 11, 20)
	for i := a.index - 9; i <= a.index; i++ {
		if p := a.PointAt(i); p.Index != i || p != b.PointAt(i) || p != c.PointAt(i) {
			t.Fatalf("entry %d: %x, %x, and with a snapshot %x", i, p, b.PointAt(i), c.PointAt(i))
		}
	}
	if p := c.PointAt(3); p.Index != 0 {
		t.Errorf("a copy knows %+v of a time before its snapshot", p)
	}
	for what, differ := range map[string]func(f *testFSM){
		"another entry":  func(f *testFSM) { f.commands(commandBatch(7, 21, 21, "append x 22")) },
		"another answer": func(f *testFSM) { f.kv().M["x"] = "?"; apply(f, 21, 21) },
		"another index":  func(f *testFSM) { f.index++; apply(f, 21, 21) },
		"another term": func(f *testFSM) {
			f.index++
			b := commandBatch(7, 21, 21, "append x 21")
			f.ApplyBatch([]*raft.Log{{Index: f.index, Term: 2,
				Data: wire.AppendBatch(wire.EntryHeader(wire.EntryCommands, 1), &b)}})
		},
		"another configuration": func(f *testFSM) { f.configure("a.1") },
	} {
		d := newTestFSM(t)
		if err := d.Restore(io.NopCloser(bytes.NewReader(b.snapshot()))); err != nil {
			t.Fatal(err)
		}
		d.index = b.index
		differ(d)
		e := newTestFSM(t)
		if err := e.Restore(io.NopCloser(bytes.NewReader(b.snapshot()))); err != nil {
			t.Fatal(err)
		}
		e.index = b.index
		apply(e, 21, 21)
		if d.sum() == e.sum() {
			t.Errorf("%s is not noticed", what)
		}
	}
}

// A copy remembers its hash for so many entries back, and no further.
func TestChainIsKeptForAWhile(t *testing.T) {
	var c chain
	for i := uint64(1); i <= 3*chainKept/2; i++ {
		c.add(&raft.Log{Index: 2 * i}, nil)
	}
	last := uint64(3 * chainKept)
	for at, want := range map[uint64]uint64{last: last, last + 100: last, last - 1: last - 2,
		last - 2*chainKept + 2: last - 2*chainKept + 2,
		last - 2*chainKept + 1: 0, 1: 0} {
		if p := c.at(at); p.Index != want {
			t.Errorf("at %d it knows of entry %d, want %d", at, p.Index, want)
		}
	}
}

// Below the level nothing new is kept or written, and the hash begins with the entry that raises it.
func TestChainBeginsWithItsLevel(t *testing.T) {
	a := raisedFSM(t, wire.LevelLevels)
	a.commands(commandBatch(7, 1, 1, "append x 1"))
	if p := a.PointAt(a.index); p.Index != 0 {
		t.Errorf("at level %d it has a hash: %+v", wire.LevelLevels, p)
	}
	if b := a.snapshot(); !bytes.HasPrefix(b, []byte(snapshotMagic2)) {
		t.Errorf("at level %d a snapshot begins with %q", wire.LevelLevels, b[:8])
	}
	b := newTestFSM(t)
	if err := b.Restore(io.NopCloser(bytes.NewReader(a.snapshot()))); err != nil {
		t.Fatal(err)
	}
	b.index = a.index
	for _, f := range []*testFSM{a, b} {
		f.entry(append(wire.EntryHeader(wire.EntryLevel, 1), wire.LevelSafety))
	}
	if p := a.PointAt(a.index); p.Index != a.index || p != b.PointAt(b.index) {
		t.Errorf("%+v, and with a snapshot %+v", p, b.PointAt(b.index))
	}
	snap := a.snapshot()
	if !bytes.HasPrefix(snap, []byte(snapshotMagic3)) {
		t.Errorf("a snapshot begins with %q", snap[:8])
	}
	old := newTestFSM(t)
	old.conf.MaxLevel = wire.LevelLevels
	if err := old.Restore(io.NopCloser(bytes.NewReader(snap))); err == nil || old.fault == nil {
		t.Errorf("a program of level %d restored it: %v", wire.LevelLevels, err)
	}
}

// A state that is re-formed begins a hash of its own, or, below the level, none.
func TestChainOfAnotherEpoch(t *testing.T) {
	for _, level := range []byte{wire.LevelLevels, wire.LevelSafety} {
		f := raisedFSM(t, level)
		s, index := f.Rebase(f.index, SoleVoter("a.1"))
		var b bytes.Buffer
		if err := s.Write(&b); err != nil {
			t.Fatal(err)
		}
		f.index = index
		g := newTestFSM(t)
		if err := g.Restore(io.NopCloser(&b)); err != nil {
			t.Fatal(err)
		}
		g.index = index
		for _, f := range []*testFSM{f, g} {
			f.entry(append(wire.EntryHeader(wire.EntryLevel, 1), wire.LevelSafety))
		}
		if f.sum() == 0 || f.sum() != g.sum() {
			t.Errorf("from level %d: %x, and with its snapshot %x", level, f.sum(), g.sum())
		}
	}
}

// What the hash costs for the largest entry, and for one small command.
func BenchmarkChain(b *testing.B) {
	for _, n := range []int{1, 256} {
		b.Run(fmt.Sprint(n, " commands"), func(b *testing.B) {
			var c chain
			l := &raft.Log{Data: make([]byte, 400*n)}
			a := []wire.Answer{{Value: make([][]byte, n)}}
			for i := range a[0].Value {
				a[0].Value[i] = binary.BigEndian.AppendUint64(nil, uint64(i))
			}
			for b.Loop() {
				l.Index++
				c.add(l, a)
			}
		})
	}
}
