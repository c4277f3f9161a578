package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

func TestEnsure(t *testing.T) {
	f, ctx := newFarm(3), t.Context()
	a, b := f.ring(0), f.ring(1)
	if id, key, ok := a.Current("session"); ok || id != 0 || key != nil {
		t.Errorf("a key before Ensure: %d %x", id, key)
	}
	if err := a.Ensure(ctx, "session", "pins", "session"); err != nil {
		t.Fatal(err)
	}
	if err := b.Ensure(ctx, "pins", "session"); err != nil || f.proposed != 2 {
		t.Errorf("ensured again: %v, %d proposals, want 2", err, f.proposed)
	}
	seen := map[string]bool{}
	for _, purpose := range []string{"session", "pins"} {
		id, key, ok := a.Current(purpose)
		_, other, _ := b.Current(purpose)
		byID, found := b.Key(purpose, id)
		if !ok || id != 1 || len(key) != Size || !bytes.Equal(key, other) || !found || !bytes.Equal(key, byID) {
			t.Errorf("%s: %d %v %v, the same on both nodes %v", purpose, id, ok, found, bytes.Equal(key, other))
		}
		if bytes.Equal(key, make([]byte, Size)) || seen[string(key)] {
			t.Errorf("%s: a key that is no secret", purpose)
		}
		seen[string(key)] = true
	}
	if _, ok := a.Key("session", 2); ok {
		t.Error("there is a second key")
	}
	if _, ok := a.Key("other", 1); ok {
		t.Error("there is a key for another purpose")
	}
}

func TestEnsureByManyAtOnce(t *testing.T) {
	f := newFarm(5)
	var wg sync.WaitGroup
	for i := range f.nodes {
		wg.Go(func() {
			if err := f.ring(i).Ensure(t.Context(), "session"); err != nil {
				t.Error(err)
			}
			if _, _, ok := f.ring(i).Current("session"); !ok {
				t.Error("no key")
			}
		})
	}
	wg.Wait()
	want := snapshot(t, f.nodes[0].machine)
	for _, n := range f.nodes {
		if !bytes.Equal(snapshot(t, n.machine), want) {
			t.Error("the nodes differ")
		}
	}
	if _, ok := f.ring(0).Key("session", 2); ok {
		t.Error("more than one key")
	}
}

func TestEnsureErrors(t *testing.T) {
	broken := errors.New("no leader")
	for name, test := range map[string]struct {
		set     func(f *farm)
		purpose string
		want    error
	}{
		"propose":       {func(f *farm) { f.fail = broken }, "session", broken},
		"wait":          {func(f *farm) { f.waitFail = broken }, "session", broken},
		"lost":          {func(f *farm) { f.lost = true }, "session", nil},
		"refused":       {func(f *farm) { f.answer = result{status: statusMalformed}.encode() }, "session", nil},
		"full":          {func(f *farm) { f.answer = result{status: statusFull}.encode() }, "session", nil},
		"nonsense":      {func(f *farm) { f.answer = []byte{1, 2} }, "session", nil},
		"empty purpose": {func(*farm) {}, "", nil},
		"long purpose":  {func(*farm) {}, strings.Repeat("x", maxPurpose+1), nil},
	} {
		f := newFarm(1)
		test.set(f)
		err := f.ring(0).Ensure(t.Context(), test.purpose)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestReadsDoNotAllocate(t *testing.T) {
	f := newFarm(1)
	r := f.ring(0)
	if err := r.Ensure(t.Context(), "a", "b", "session"); err != nil {
		t.Fatal(err)
	}
	if n := ci.Allocs(100, 0, func() {
		id, _, _ := r.Current("session")
		r.Key("session", id)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReadersBesideApply(t *testing.T) {
	f := newFarm(1)
	m, r := f.nodes[0].machine, f.ring(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if id, key, ok := r.Current("p7"); ok {
					if same, found := r.Key("p7", id); !found || !bytes.Equal(same, key) {
						t.Error("a key changed")
					}
				}
			}
		})
	}
	for i := range 200 {
		m.Apply(uint64(i), epoch, ensure{fmt.Sprint("p", i), Secret{byte(i)}}.encode())
		snap := snapshot(t, m)
		if err := m.Restore(bytes.NewReader(snap)); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
}

// Of a key that this node does not have, Await tells what was never made from what it cannot know.
func TestAwait(t *testing.T) {
	ctx := t.Context()
	f := newFarm(2)
	a, b, late := f.ring(0), f.ring(1), f.nodes[1]
	if err := b.Await(ctx, "session", 1); !errors.Is(err, ErrNotYet) {
		t.Errorf("before there is a key: %v", err)
	}
	if err := a.Ensure(ctx, "session"); err != nil {
		t.Fatal(err)
	}
	late.slow = true
	if _, err := a.Revoke(ctx, "session", 1, 1); err != nil { // and so key 2 signs at once
		t.Fatal(err)
	}
	if _, ok := b.Key("session", 2); ok {
		t.Fatal("the slow node has the key")
	}
	if err := b.Await(ctx, "session", 2); err != nil {
		t.Errorf("a key that others have: %v", err)
	}
	if _, ok := b.Key("session", 2); !ok {
		t.Error("Await returned, and the key is not there")
	}
	if err := b.Await(ctx, "session", 3); err != nil {
		t.Errorf("a key that was never made: %v", err)
	}
	late.setCut(true)
	for id, want := range map[uint32]error{0: nil, 1: nil, 2: nil, 3: ErrNotYet,
		2 + maxAhead: ErrNotYet, 3 + maxAhead: nil} {
		if err := b.Await(ctx, "session", id); !errors.Is(err, want) {
			t.Errorf("cut off, key %d: %v, want %v", id, err, want)
		}
	}
	late.since = time.Now().Add(-2 * lostContact)
	if err := b.Await(ctx, "session", 3); !errors.Is(err, ErrNotYet) || errors.Is(err, errCut) {
		t.Errorf("cut off for long: %v, and nobody is to be asked", err)
	}
	late.setCut(false)
	b.asking.Store(maxAsking)
	if err := b.Await(ctx, "session", 3); !errors.Is(err, ErrNotYet) {
		t.Errorf("one too many: %v", err)
	}
}

func TestRotateAndRevokeByOperators(t *testing.T) {
	ctx := t.Context()
	f := newFarm(3)
	a, b := f.ring(0), f.ring(1)
	if err := a.Ensure(ctx, "session"); err != nil {
		t.Fatal(err)
	}
	if id, err := a.Rotate(ctx, "session", 1); id != 2 || err != nil {
		t.Errorf("rotated to %d, %v", id, err)
	}
	if id, err := b.Rotate(ctx, "session", 1); id != 2 || !errors.Is(err, ErrMoved) {
		t.Errorf("rotated by a second one to %d, %v", id, err)
	}
	if id, _, _ := b.Current("session"); id != 1 {
		t.Errorf("a key signs before it is introduced: %d", id)
	}
	if err := b.Proceed(ctx, "session", 2, time.Hour); err != nil {
		t.Error(err)
	}
	if err := b.Proceed(ctx, "session", 2, time.Hour); !errors.Is(err, ErrMoved) {
		t.Errorf("proceeded twice: %v", err)
	}
	if id, _, _ := a.Current("session"); id != 2 {
		t.Errorf("key %d signs", id)
	}
	if _, ok := a.Key("session", 1); !ok {
		t.Error("what the old key signed is not accepted")
	}
	if id, err := a.Revoke(ctx, "session", 1, 2); id != 3 || err != nil {
		t.Errorf("revoked: %d, %v", id, err)
	}
	if id, err := a.Revoke(ctx, "session", 1, 2); id != 3 || err != nil {
		t.Errorf("revoked again: %d, %v", id, err)
	}
	for id := range uint32(5) {
		if _, ok := b.Key("session", id); ok != (id == 3) {
			t.Errorf("key %d: %v", id, ok)
		}
	}
	for _, purpose := range []string{"other", "", strings.Repeat("x", 300)} {
		if _, err := a.Rotate(ctx, purpose, 0); !errors.Is(err, ErrNoKey) {
			t.Errorf("rotate %.9q: %v", purpose, err)
		}
		if _, err := a.Revoke(ctx, purpose, 0, 9); !errors.Is(err, ErrNoKey) {
			t.Errorf("revoke %.9q: %v", purpose, err)
		}
		if err := a.Proceed(ctx, purpose, 0, 0); !errors.Is(err, ErrNoKey) {
			t.Errorf("proceed %.9q: %v", purpose, err)
		}
	}
	f.level = rotationLevel - 1
	if _, err := a.Rotate(ctx, "session", 3); !errors.Is(err, fault.ErrLevel) {
		t.Errorf("rotated below the level: %v", err)
	}
	if _, err := a.Revoke(ctx, "session", 3, 3); !errors.Is(err, fault.ErrLevel) {
		t.Errorf("revoked below the level: %v", err)
	}
	if err := a.Ensure(ctx, "pins"); err != nil {
		t.Errorf("no first key below the level: %v", err)
	}
}

func BenchmarkKey(b *testing.B) {
	for name, m := range map[string]*Machine{"one": NewMachine(), "six": keysOfAllStates(b)} {
		do(b, m, epoch, ensure{"session", Secret{1}}.encode())
		id, _, _ := m.Current("session")
		r := New(nil, func() *Machine { return m })
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Key("session", id)
			}
		})
	}
}
