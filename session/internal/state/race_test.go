package state

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Readers, a writer of snapshots, and the goroutine that applies, snapshots and restores, all at once. A session's two
// values are always set to the same thing; nobody may ever see them differ.
func TestReadersBesideApply(t *testing.T) {
	const n = 500
	r := newRig(t)
	for i := range n {
		r.apply(create(keyOf(i), "a", "0", "b", "0"))
	}
	var wg sync.WaitGroup
	done, snaps := make(chan struct{}), make(chan io.WriterTo)
	for worker := range 3 {
		wg.Go(func() { readAll(t, r.Machine, rand.New(rand.NewPCG(1, uint64(worker))), n, done) })
	}
	wg.Go(func() {
		for s := range snaps {
			var b bytes.Buffer
			if _, err := s.WriteTo(&b); err != nil {
				t.Error(err)
			}
			m := restored(t, b.Bytes())
			for i := range n {
				if rec, ok := m.Get(keyOf(i)); ok {
					agree(t, rec)
				}
			}
		}
	})

	rng := rand.New(rand.NewPCG(5, 6))
	for step := range 4000 {
		key, value := keyOf(rng.IntN(n)), fmt.Sprint(step)
		r.pass(time.Millisecond)
		switch rng.IntN(6) {
		case 0:
			r.apply(Touch{[]Key{key, keyOf(rng.IntN(n))}})
		case 1:
			r.apply(Destroy{key})
		default:
			if answer := r.apply(Write{Key: key, Sets: entries("a", value, "b", value)}); answer.Status == Ended {
				r.pass(TombstoneTTL / 4)
				r.apply(create(key, "a", value, "b", value))
				r.apply(Tick{})
			}
		}
		switch {
		case step%50 == 0:
			select {
			case snaps <- r.Snapshot():
			default:
			}
		case step%301 == 0:
			if err := r.Restore(bytes.NewReader(snapshot(t, r.Machine))); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	close(snaps)
	wg.Wait()
	r.table.Load().check(t)
}

// readAll reads until done is closed. What it was given earlier must not change.
func readAll(t *testing.T, m *Machine, rng *rand.Rand, n int, done <-chan struct{}) {
	var kept Record
	var was string
	var applied uint64
	for {
		select {
		case <-done:
			if show(kept) != was {
				t.Errorf("a record became %q, was %q", show(kept), was)
			}
			return
		default:
		}
		key := keyOf(rng.IntN(n))
		if rec, ok := m.Get(key); ok {
			agree(t, rec)
			if rng.IntN(100) == 0 {
				kept, was = rec, show(rec)
			}
		}
		if f, err := DecodeFetched(m.Query(Fetch{key}.Append(nil))); err != nil {
			t.Error(err)
		} else if f.Found {
			agree(t, f.Record)
		}
		if now := m.Applied(); now < applied {
			t.Errorf("applied went from %d to %d", applied, now)
		} else {
			applied = now
		}
		_, _, _, _, _ = m.Ended(key), m.Len(), m.Now(), m.LastTick(), m.Limits()
	}
}

func agree(t *testing.T, rec Record) {
	a, _, okA := rec.Value("a")
	b, _, okB := rec.Value("b")
	if !okA || !okB || !bytes.Equal(a, b) {
		t.Errorf("half a write: a=%q b=%q", a, b)
	}
}
