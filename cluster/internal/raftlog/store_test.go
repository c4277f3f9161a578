package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const smallSegment = 64 << 10

func openDurable(t testing.TB, dir string) Store {
	t.Helper()
	s, err := OpenDurable(dir, smallSegment, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// eachStore runs a test on every kind of store.
func eachStore(t *testing.T, test func(t *testing.T, s Store)) {
	t.Run("memory", func(t *testing.T) { test(t, NewMemory()) })
	t.Run("durable", func(t *testing.T) { test(t, openDurable(t, t.TempDir())) })
}

func entries(from, to uint64) []*raft.Log {
	var logs []*raft.Log
	for i := from; i <= to; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: 1 + i/100, Type: raft.LogCommand,
			Data: fmt.Appendf(nil, "entry %d", i)})
	}
	return logs
}

func mustStore(t testing.TB, s raft.LogStore, logs []*raft.Log) {
	t.Helper()
	if err := s.StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
}

// sameLog compares the bounds of two logs, and every entry within and just outside of them.
func sameLog(t *testing.T, got, want raft.LogStore) {
	t.Helper()
	gotFirst, err1 := got.FirstIndex()
	gotLast, err2 := got.LastIndex()
	first, _ := want.FirstIndex()
	last, _ := want.LastIndex()
	if gotFirst != first || gotLast != last || err1 != nil || err2 != nil {
		t.Fatalf("log from %d to %d (%v, %v), want %d to %d", gotFirst, gotLast, err1, err2, first, last)
	}
	for i := first - min(first, 2); i <= last+2; i++ {
		var g, w raft.Log
		gotErr, wantErr := got.GetLog(i, &g), want.GetLog(i, &w)
		if wantErr != gotErr {
			t.Fatalf("entry %d: error %v, want %v", i, gotErr, wantErr)
		}
		if g.Index != w.Index || g.Term != w.Term || g.Type != w.Type || !bytes.Equal(g.Data, w.Data) {
			t.Fatalf("entry %d is %v, want %v", i, g, w)
		}
	}
}

// Random appends and truncations, against the store that raft tests itself with.
func TestLikeInmemStore(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		model := raft.NewInmemStore()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		steps, batch := 600, uint64(700)
		if _, durable := s.(*durable); durable {
			steps, batch = 150, 40
		}
		for range steps {
			randomStep(t, rnd, batch, s, model)
		}
		sameLog(t, s, model)
	})
}

func randomStep(t *testing.T, rnd *rand.Rand, batch uint64, s Store, model *raft.InmemStore) {
	t.Helper()
	first, _ := model.FirstIndex()
	last, _ := model.LastIndex()
	drop := func(min, max uint64) {
		if err := errors.Join(s.DeleteRange(min, max), model.DeleteRange(min, max)); err != nil {
			t.Fatal(err)
		}
	}
	add := func(logs []*raft.Log) {
		mustStore(t, s, logs)
		mustStore(t, model, logs)
	}
	switch op := rnd.IntN(20); {
	case last == 0: // an empty log may begin anywhere, as it does after a snapshot was installed
		from := 1 + rnd.Uint64N(2000)
		add(entries(from, from+rnd.Uint64N(batch)))
	case op < 12:
		add(entries(last+1, last+1+rnd.Uint64N(batch)))
	case op < 16:
		drop(first-min(first, rnd.Uint64N(3)), first+rnd.Uint64N(last-first+1))
	case op < 18:
		if from := first + rnd.Uint64N(last-first+1); from > first {
			drop(from, last+rnd.Uint64N(3))
		}
	case op < 19:
		drop(first, last)
	default:
		sameLog(t, s, model)
	}
}

func TestRefusedWrites(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		if !s.IsMonotonic() {
			t.Error("raft would leave gaps")
		}
		mustStore(t, s, nil)
		mustStore(t, s, entries(10, 20))
		for name, err := range map[string]error{
			"gap after the end":        s.StoreLogs(entries(22, 23)),
			"overwrite":                s.StoreLog(entries(20, 20)[0]),
			"gap within":               s.StoreLogs(append(entries(21, 22), entries(24, 24)...)),
			"delete from the middle":   s.DeleteRange(12, 15),
			"delete one in the middle": s.DeleteRange(15, 15),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		for _, r := range [][2]uint64{{1, 9}, {21, 30}, {15, 14}} {
			if err := s.DeleteRange(r[0], r[1]); err != nil {
				t.Errorf("delete what is not there, %v: %v", r, err)
			}
		}
		want := raft.NewInmemStore()
		mustStore(t, want, entries(10, 20))
		sameLog(t, s, want)
	})
}

func TestStable(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		if b, err := s.Get([]byte("vote")); len(b) != 0 || err != nil {
			t.Errorf("missing key: %q, %v", b, err)
		}
		if n, err := s.GetUint64([]byte("term")); n != 0 || err != nil {
			t.Errorf("missing number: %d, %v", n, err)
		}
		value := []byte("n1")
		if err := errors.Join(s.Set([]byte("vote"), value), s.SetUint64([]byte("term"), 7)); err != nil {
			t.Fatal(err)
		}
		value[0] = 'x'
		if b, err := s.Get([]byte("vote")); string(b) != "n1" || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		if n, err := s.GetUint64([]byte("term")); n != 7 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

// Readers, an appender and a truncator, as replication, the leader and the snapshots are.
func TestConcurrentUse(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		mustStore(t, s, entries(1, 10))
		end := uint64(4000)
		if _, durable := s.(*durable); durable {
			end = 400
		}
		var wg sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						readSome(t, s)
					}
				}
			})
		}
		wg.Go(func() {
			defer close(done)
			for i := uint64(11); i <= end; i += 10 {
				if err := s.StoreLogs(entries(i, i+9)); err != nil {
					t.Error(err)
				}
				if i%7 == 0 {
					if err := s.DeleteRange(1, i-5); err != nil {
						t.Error(err)
					}
				}
			}
		})
		wg.Wait()
	})
}

func readSome(t *testing.T, s Store) {
	last, err := s.LastIndex()
	if err != nil {
		t.Error(err)
	}
	var log raft.Log
	err = s.GetLog(last, &log)
	if err == nil && (log.Index != last || string(log.Data) != fmt.Sprint("entry ", last)) {
		t.Errorf("entry %d is %d, %q", last, log.Index, log.Data)
	}
	if err != nil && err != raft.ErrLogNotFound {
		t.Error(err)
	}
}

func TestOnAppend(t *testing.T) {
	eachStore(t, func(t *testing.T, plain Store) {
		var seen []uint64
		s := OnAppend(plain, func(last uint64) {
			if stored, _ := plain.LastIndex(); stored != last {
				t.Errorf("hook says %d when the log ends at %d", last, stored)
			}
			seen = append(seen, last)
		})
		mustStore(t, s, entries(1, 3))
		mustStore(t, s, nil)
		if err := s.StoreLog(entries(4, 4)[0]); err != nil {
			t.Fatal(err)
		}
		if err := s.StoreLogs(entries(9, 9)); err == nil {
			t.Error("a gap was stored")
		}
		if fmt.Sprint(seen) != "[3 4]" {
			t.Errorf("hook saw %v", seen)
		}
		if m, ok := s.(raft.MonotonicLogStore); !ok || !m.IsMonotonic() {
			t.Error("the hook hides that the log is monotonic")
		}
	})
}

func TestMemoryLetsGo(t *testing.T) {
	m := NewMemory().(*memory)
	mustStore(t, m, entries(1, 10*chunkSize))
	if err := m.DeleteRange(1, 10*chunkSize-10); err != nil {
		t.Fatal(err)
	}
	if len(m.chunks) != 1 {
		t.Errorf("%d chunks for 10 entries", len(m.chunks))
	}
	if got := m.placeLocked(m.first - 1); got.Data != nil {
		t.Error("a dropped entry keeps its data")
	}
	if err := m.DeleteRange(10*chunkSize-5, 10*chunkSize); err != nil {
		t.Fatal(err)
	}
	if got := m.placeLocked(m.last + 1); got.Data != nil {
		t.Error("an entry dropped from the end keeps its data")
	}
	if err := m.Close(); err != nil || m.chunks != nil {
		t.Error("Close keeps the log")
	}
}

func TestDurableReopens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "raft")
	model := raft.NewInmemStore()
	before := runtime.NumGoroutine()
	// Each round ends otherwise: appended over several segments, cut at the end, cut at the beginning,
	// emptied.
	for round, cut := range [][2]uint64{{0, 0}, {1800, 5000}, {1, 700}, {1, 5000}, {0, 0}} {
		s := openDurable(t, dir)
		sameLog(t, s, model)
		if n, err := s.GetUint64([]byte("term")); n != uint64(round) || err != nil {
			t.Fatalf("round %d: term %d, %v", round, n, err)
		}
		last, _ := model.LastIndex()
		logs := entries(last+1, last+1000)
		mustStore(t, s, logs)
		mustStore(t, model, logs)
		if cut[0] > 0 {
			if err := errors.Join(s.DeleteRange(cut[0], cut[1]),
				model.DeleteRange(cut[0], cut[1])); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SetUint64([]byte("term"), uint64(round)+1); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() <= before })
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("goroutines are left")
		}
	}
}

// A torn write at the end of the log: the process died in the middle of an append.
func TestDurableTornTail(t *testing.T) {
	dir := t.TempDir()
	s := openDurable(t, dir)
	mustStore(t, s, entries(1, 100))
	kept, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("segments %v, %v", kept, err)
	}
	before, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	mustStore(t, s, entries(101, 110))
	after, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	// Half of the last append is on disk.
	begin, end := differ(before, after)
	clear(after[begin+(end-begin)/2 : end])
	if err := os.WriteFile(kept[0], after, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openDurable(t, dir)
	want := raft.NewInmemStore()
	mustStore(t, want, entries(1, 100))
	sameLog(t, s, want)
	mustStore(t, s, entries(101, 120))
}

// differ returns the range in which a and b, equally long, differ.
func differ(a, b []byte) (begin, end int) {
	begin = -1
	for i := range a {
		if a[i] != b[i] {
			if begin < 0 {
				begin = i
			}
			end = i + 1
		}
	}
	return begin, end
}

func TestDurableAfterClose(t *testing.T) {
	s := openDurable(t, t.TempDir())
	mustStore(t, s, entries(1, 3))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { // in the middle of Close: done, or refused, but no panic
			for n := range uint64(50) {
				err := s.StoreLogs(entries(4+n, 4+n))
				var log raft.Log
				if i > 0 {
					err = s.GetLog(2, &log)
				}
				if errors.Is(err, ErrClosed) {
					return
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	_, err1 := s.FirstIndex()
	_, err2 := s.Get([]byte("k"))
	for _, err := range []error{err1, err2, s.StoreLogs(entries(4, 4)), s.GetLog(1, new(raft.Log)),
		s.DeleteRange(1, 2),
		s.Set([]byte("k"), nil), s.SetUint64([]byte("k"), 1)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestOpenDurableFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDurable(file, 0, hclog.NewNullLogger()); err == nil {
		t.Error("a file was opened as a directory")
	}
}

func BenchmarkMemoryAppend(b *testing.B) {
	m := NewMemory()
	logs := entries(1, 64)
	next := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		for _, log := range logs {
			log.Index, log.Extensions = next, nil
			next++
		}
		mustStore(b, m, logs)
		if next%65536 == 1 && next > 131072 {
			if err := m.DeleteRange(1, next-65536); err != nil {
				b.Fatal(err)
			}
		}
	}
}
