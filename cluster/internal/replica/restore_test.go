package replica

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/testkv"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// oneWrite returns a state with one command in it, and its snapshot.
func oneWrite(t *testing.T) (*testFSM, []byte) {
	f := newTestFSM(t, "a.1")
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append x 1"))
	return f, f.snapshot()
}

// A snapshot that ends in the middle leaves all as it was, and the log goes on.
func TestHalfARestoreIsNone(t *testing.T) {
	_, whole := oneWrite(t)

	g := newTestFSM(t, "a.1")
	broken := append([]byte(nil), whole...)
	broken[len(broken)-1]++ // the checksum: found out when every machine was restored
	if err := g.Restore(io.NopCloser(bytes.NewReader(broken))); err == nil {
		t.Fatal("a damaged snapshot was restored")
	}
	g.register(7, "a.1", 1)
	g.commands(commandBatch(7, 1, 1, "append x 1"))
	if g.fault != nil || !bytes.Equal(g.snapshot(), whole) {
		t.Errorf("the state is another one (%v)", g.fault)
	}
}

// Who reads the machines while a snapshot is restored sees all of them before, or all of them after.
func TestRestoreIsOneMoment(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		made := func(slow time.Duration) *State {
			st := New(Config{MaxLevel: wire.ProtocolMax, Machines: func() map[string]Machine {
				return map[string]Machine{"kv": &sleepyKV{testkv.New(), slow},
					"more": &sleepyKV{testkv.New(), slow}}
			}})
			return st
		}
		f := made(0)
		for _, name := range []string{"kv", "more"} {
			f.Machine(name).Apply(1, time.Time{}, []byte("set x new"))
		}
		frozen, _, err := f.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		var whole bytes.Buffer
		if err := frozen.Write(&whole); err != nil {
			t.Fatal(err)
		}
		g := made(time.Minute)
		for _, name := range []string{"kv", "more"} {
			g.Machine(name).Apply(1, time.Time{}, []byte("set x old"))
		}
		read := func() string {
			return string(g.Machine("kv").Query([]byte("x"))) + string(g.Machine("more").Query([]byte("x")))
		}
		done := make(chan error, 1)
		go func() { done <- g.Restore(io.NopCloser(&whole)) }()
		seen := map[string]int{}
		for range 150 {
			seen[read()]++
			time.Sleep(time.Second + time.Millisecond)
		}
		if err := <-done; err != nil || seen["oldold"] < 118 || len(seen) != 2 || seen["newnew"] == 0 {
			t.Errorf("%v; readers have seen %v", err, seen)
		}
	})
}

// sleepyKV is half restored for a while.
type sleepyKV struct {
	*testkv.Machine
	takes time.Duration
}

func (s *sleepyKV) Restore(r io.Reader) error {
	s.Apply(0, time.Time{}, []byte("set x half"))
	time.Sleep(s.takes)
	return s.Machine.Restore(r)
}

func TestASecondRestoreMendsTheFirst(t *testing.T) {
	f, whole := oneWrite(t)

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
	g.conf.Machines = only(func() Machine { return &sick{} })
	if err := g.Restore(io.NopCloser(bytes.NewReader(whole))); !errors.Is(err, wire.ErrMachine) ||
		!errors.Is(g.fault, wire.ErrMachine) {
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
	g.conf.Machines = only(func() Machine { return m })
	g.machines.Store(&map[string]Machine{"kv": m})
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

// refusing does not take up any state.
type refusing struct{ testkv.Machine }

var errNotMine = errors.New("not mine")

func (m *refusing) Restore(r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	return errNotMine
}

// The error says if a machine refuses a whole snapshot. A snapshot that cannot be read is another error.
func TestRefusedRestoreIsTold(t *testing.T) {
	_, whole := oneWrite(t)
	var told []error
	st := New(Config{Machines: func() map[string]Machine { return map[string]Machine{"kv": &refusing{}} },
		MaxLevel: wire.ProtocolMax, Refused: func(err error) { told = append(told, err) }})
	if err := st.Restore(io.NopCloser(bytes.NewReader(whole[:len(whole)-20]))); err == nil || len(told) != 0 {
		t.Errorf("half a snapshot: %v, told %v", err, told)
	}
	if err := st.Restore(io.NopCloser(bytes.NewReader(whole))); !errors.Is(err, errNotMine) ||
		len(told) != 1 || !errors.Is(told[0], errNotMine) {
		t.Errorf("a whole snapshot: %v, told %v", err, told)
	}
}
