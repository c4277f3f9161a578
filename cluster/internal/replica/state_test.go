package replica

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/testkv"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// testFSM is an fsm with the machine "kv" in a configuration of servers, as after the first entry of a log.
type testFSM struct {
	*State
	t     *testing.T
	index uint64
	fault error
}

func newTestFSM(t *testing.T, servers ...string) *testFSM {
	f := &testFSM{t: t}
	f.State = New(Config{Machines: only(func() Machine { return testkv.New() }), MaxLevel: wire.ProtocolMax,
		Halt: func(err error) { f.fault = err }})
	f.configure(servers...)
	return f
}

// only returns what makes one machine, "kv".
func only(machine func() Machine) func() map[string]Machine {
	return func() map[string]Machine { return map[string]Machine{"kv": machine()} }
}

func (f *testFSM) configure(servers ...string) {
	var c raft.Configuration
	for _, s := range servers {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(s), Address: raft.ServerAddress(s)})
	}
	f.index++
	f.ApplyBatch([]*raft.Log{{Index: f.index, Type: raft.LogConfiguration,
		Data: raft.EncodeConfiguration(c)}})
}

func (f *testFSM) entry(data []byte) []wire.Answer {
	f.index++
	out, _ := f.ApplyBatch([]*raft.Log{{Index: f.index, Type: raft.LogCommand,
		Data: data}})[0].([]wire.Answer)
	return out
}

func (f *testFSM) register(origin uint64, server string, boot uint64) wire.Code {
	f.t.Helper()
	a := f.entry(wire.AppendRegistration(wire.EntryHeader(wire.EntryRegister, 1),
		wire.Registration{Origin: origin, Server: server, Boot: boot, Floor: 1}))
	if len(a) != 1 {
		f.t.Fatalf("registration was answered by %v", a)
	}
	return a[0].Code
}

func commandBatch(origin, seq, floor uint64, cmds ...string) wire.Batch {
	b := wire.Batch{Origin: origin, Seq: seq, Floor: floor, Count: len(cmds)}
	for _, c := range cmds {
		b.Body = wire.AppendCommand(b.Body, "kv", []byte(c))
	}
	return b
}

func (f *testFSM) commands(bs ...wire.Batch) []wire.Answer {
	e := wire.EntryHeader(wire.EntryCommands, 1)
	for i := range bs {
		e = wire.AppendBatch(e, &bs[i])
	}
	return f.entry(e)
}

func (f *testFSM) kv() *testkv.Machine { return f.Machine("kv").(*testkv.Machine) }

func TestBatchComesTwice(t *testing.T) {
	f := newTestFSM(t, "a.1")
	if c := f.register(7, "a.1", 1); c != wire.CodeOK {
		t.Fatal("register:", c.Err())
	}
	b := commandBatch(7, 1, 1, "append x 1", "append x 2")
	first := f.commands(b)[0]
	f.commands(commandBatch(7, 2, 1, "append x 3"))
	again := f.commands(b, b)
	for _, a := range again {
		if a.Index != first.Index || !bytes.Equal(a.Value[1], first.Value[1]) {
			t.Errorf("the second time it was answered %v, the first time %v", a, first)
		}
	}
	if got := f.kv().Get("x"); got != "1,2,3," {
		t.Errorf("x = %q: a batch was applied twice or not at all", got)
	}
}

func TestBatchBelowFloor(t *testing.T) {
	f := newTestFSM(t, "a.1")
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append x 1"))
	f.commands(commandBatch(7, 3, 3, "append x 3")) // batches 1 and 2 are not wanted any more
	for seq := range uint64(3) {
		if a := f.commands(commandBatch(7, seq, 1, "append x late")); a[0].Code != wire.CodeStale {
			t.Errorf("batch %d: code %d, want stale", seq, a[0].Code)
		}
	}
	if n := len(f.origins.byID[7].answers); n != 1 {
		t.Errorf("%d answers are kept, want that of batch 3 only", n)
	}
	if got := f.kv().Get("x"); got != "1,3," {
		t.Errorf("x = %q", got)
	}
}

func TestUnregisteredOrigin(t *testing.T) {
	f := newTestFSM(t, "a.1", "b.1")
	refused := func(when string, origin uint64) {
		t.Helper()
		if a := f.commands(commandBatch(origin, 1, 1, "append x no")); a[0].Code != wire.CodeUnregistered {
			t.Errorf("%s: code %d, want unregistered", when, a[0].Code)
		}
	}
	refused("never registered", 7)
	if c := f.register(8, "c.1", 1); c != wire.CodeUnregistered {
		t.Errorf("a server outside the configuration could register: code %d", c)
	}
	f.register(7, "b.1", 1)
	f.register(9, "b.1", 2)
	refused("after the next run registered", 7)
	if c := f.register(10, "b.1", 1); c != wire.CodeSetBack {
		t.Errorf("an older boot could register: code %d", c)
	}
	if c := f.register(10, "b.1", 2); c != wire.CodeSetBack {
		t.Errorf("another run of the same boot could register: code %d", c)
	}
	if c := f.register(9, "b.1", 2); c != wire.CodeOK {
		t.Errorf("the same run again: code %d", c)
	}
	f.configure("a.1")
	refused("after its server was removed", 9)
	if got := f.kv().Get("x"); got != "" {
		t.Errorf("x = %q", got)
	}
}

func TestEntryNotUnderstood(t *testing.T) {
	tests := map[string][]byte{
		"another format":    {9, wire.EntryOpen, 1},
		"an unknown kind":   wire.EntryHeader(77, 1),
		"an open with more": append(wire.EntryHeader(wire.EntryOpen, 1), 1),
		"empty":             nil,
		"a cut batch":       append(wire.EntryHeader(wire.EntryCommands, 1), 0, 0),
	}
	unknown := commandBatch(7, 1, 1)
	unknown.Body, unknown.Count = wire.AppendCommand(nil, "nobody", []byte("x")), 1
	tests["an unknown machine"] = wire.AppendBatch(wire.EntryHeader(wire.EntryCommands, 1), &unknown)
	lie := commandBatch(7, 1, 1, "append x 1")
	lie.Count = 3
	tests["a batch that lies"] = wire.AppendBatch(wire.EntryHeader(wire.EntryCommands, 1), &lie)
	bomb := commandBatch(7, 1, 1, "panic")
	tests["a panic"] = wire.AppendBatch(wire.EntryHeader(wire.EntryCommands, 1), &bomb)
	for name, entry := range tests {
		t.Run(name, func(t *testing.T) {
			f := newTestFSM(t, "a.1")
			f.register(7, "a.1", 1)
			before, _ := f.View()
			f.entry(entry)
			if f.fault == nil {
				t.Fatal("the node was not told to stop")
			}
			f.commands(commandBatch(7, 2, 1, "append x after"))
			if index, _ := f.View(); index != before || f.kv().Get("x") != "" {
				t.Errorf("applied up to %d, x = %q, after the entry that must not be skipped", index,
					f.kv().Get("x"))
			}
			if _, err := f.Snapshot(); err == nil {
				t.Error("a snapshot was taken of the halted state")
			}
		})
	}
}

type memorySink struct{ bytes.Buffer }

func (*memorySink) ID() string    { return "test" }
func (*memorySink) Cancel() error { return nil }
func (*memorySink) Close() error  { return nil }

func (f *testFSM) snapshot() []byte {
	f.t.Helper()
	s, err := f.Snapshot()
	if err != nil {
		f.t.Fatal(err)
	}
	var sink memorySink
	if err := s.Persist(&sink); err != nil {
		f.t.Fatal(err)
	}
	return sink.Bytes()
}

func TestSnapshotKeepsEverything(t *testing.T) {
	f := newTestFSM(t, "a.1", "b.1")
	f.register(7, "a.1", 3)
	f.register(8, "b.1", 1)
	f.commands(commandBatch(7, 4, 2, "append x 1", "append y 2"), commandBatch(8, 1, 1, "append x 3"))
	image := f.snapshot()

	g := newTestFSM(t)
	if err := g.Restore(io.NopCloser(bytes.NewReader(image))); err != nil {
		t.Fatal(err)
	}
	if got := g.snapshot(); !bytes.Equal(got, image) {
		t.Error("the restored state gives other bytes")
	}
	if i, s := g.View(); i != f.index || s != 1 {
		t.Errorf("restored to index %d and stamp %d, want %d and 1", i, s, f.index)
	}
	g.index = f.index
	if a := g.commands(commandBatch(7, 4, 2, "append x 1", "append y 2")); a[0].Code != wire.CodeOK ||
		g.kv().Get("x") != "1,3," {
		t.Errorf("after the restore a known batch was answered %v, x = %q", a, g.kv().Get("x"))
	}
	if c := g.register(9, "a.1", 2); c != wire.CodeSetBack {
		t.Errorf("the boot counter did not survive: code %d", c)
	}
}

func TestSnapshotDamaged(t *testing.T) {
	f := newTestFSM(t, "a.1")
	f.register(7, "a.1", 1)
	for i := range 50 {
		f.commands(commandBatch(7, uint64(i+1), 1, fmt.Sprintf("set k%d %d", i, i)))
	}
	image := f.snapshot()
	for n := range len(image) {
		if err := newTestFSM(t).Restore(io.NopCloser(bytes.NewReader(image[:n]))); err == nil {
			t.Fatalf("cut to %d of %d bytes it was restored", n, len(image))
		}
	}
	for range 500 {
		bad := bytes.Clone(image)
		bad[rand.IntN(len(bad))] ^= 1 << rand.IntN(8)
		if err := newTestFSM(t).Restore(io.NopCloser(bytes.NewReader(bad))); err == nil {
			t.Fatal("with one bit changed it was restored")
		}
	}
}
