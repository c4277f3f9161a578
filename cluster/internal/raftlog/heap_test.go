package raftlog

import (
	"io"
	"runtime"
	"testing"

	"github.com/hashicorp/raft"
)

// heap returns how many bytes are in use once all garbage is collected.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one found finalizers for
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The state is in memory once: neither a snapshot that is taken, nor one that is sent, nor one that came from
// elsewhere and is restored, leaves a second copy.
func TestStateIsInMemoryOnce(t *testing.T) {
	const size = 32 << 20
	state := make([]byte, size)
	write := func(w io.Writer) error {
		for rest := state; len(rest) > 0; rest = rest[min(len(rest), 64<<10):] {
			if _, err := w.Write(rest[:min(len(rest), 64<<10)]); err != nil {
				return err
			}
		}
		return nil
	}
	index := uint64(10)
	s := NewMemorySnapshots()
	s.Serve(func() (Frozen, error) { return Frozen{Index: index, Term: 2, Write: write}, nil })
	create := func() raft.SnapshotSink {
		sink, err := s.Create(raft.SnapshotVersionMax, index, 2, voters("a"), 3, nil)
		if err != nil {
			t.Fatal(err)
		}
		return sink
	}
	once := heap()
	grown := func(when string, least, most int64) {
		t.Helper()
		if more := heap() - once; more < least || more > most {
			t.Errorf("%s: %d bytes more than the state of %d, want %d to %d", when, more, size, least, most)
		}
	}
	sink := create()
	if !sink.(*memorySink).MarkLive() {
		t.Fatal("it cannot be live")
	}
	sink.Close()
	grown("a snapshot was taken", -size/8, size/8)

	listed, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	_, r, err := s.Open(listed[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, size/2); err != nil {
		t.Fatal(err)
	}
	grown("half of it was sent", -size/8, size/8)
	if n, err := io.Copy(io.Discard, r); n != size/2 || err != nil {
		t.Fatalf("the second half has %d bytes, %v", n, err)
	}
	r.Close()

	index = 20
	sink = create()
	if err := write(sink); err != nil {
		t.Fatal(err)
	}
	sink.Close()
	grown("one came from elsewhere", size*7/8, size*9/8) // the measure sees a copy
	s.Restored(index)
	grown("that was restored", -size/8, size/8)
	runtime.KeepAlive(state)
	runtime.KeepAlive(s)
}
