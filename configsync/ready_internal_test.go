package configsync

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// TestReadyDuringASwitch: a release that becomes ready while another one is switched to stays ready, though the state
// of the log that the switch is about needs it not. It is no bubble, where time would not pass for who waits for a
// lock.
func TestReadyDuringASwitch(t *testing.T) {
	machine := state.NewMachine(nil)
	var during atomic.Pointer[func()]
	m, err := New(Settings{Node: "n1", Local: func() *Machine {
		if f := during.Swap(nil); f != nil {
			(*f)()
		}
		return machine
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	st := &staged{digest: digest{1}, values: m.switching.defaults.values}
	added := make(chan struct{})
	add := func() {
		go func() {
			m.switching.add(st)
			close(added)
		}()
		select {
		case <-added:
		case <-time.After(50 * time.Millisecond): // it waits for the switch, as it should
		}
	}
	m.switching.mu.Lock()
	during.Store(&add)
	m.switching.switchLocked(true)
	m.switching.unlock()
	<-added
	if m.stock.get(st.digest) == nil {
		t.Error("what became ready during a switch is ready no more")
	}
}

// TestGoexit: code of the program that ends its goroutine has come back, with an error.
func TestGoexit(t *testing.T) {
	var s strays
	for range 2 * maxStrays {
		began := time.Now()
		_, err := call(t.Context(), &s, errand{what: "hook", limit: time.Minute}, func(context.Context) (int, error) {
			runtime.Goexit()
			return 1, nil
		}, nil)
		if !errors.Is(err, errGoexit) || time.Since(began) > 30*time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
	}
}

// TestSawAtOnce: of epochs that are shown at once the newest is kept.
func TestSawAtOnce(t *testing.T) {
	m, err := New(Settings{Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var all sync.WaitGroup
	var lost atomic.Uint64
	const at = 4
	for i := range uint64(at) {
		all.Go(func() {
			for epoch := i + 1; epoch < 20_000; epoch += at {
				if m.usability.saw(epoch); m.usability.seen.Load().epoch < epoch {
					lost.Store(epoch)
				}
			}
		})
	}
	if all.Wait(); lost.Load() > 0 {
		t.Errorf("epoch %d was shown, and an older one is kept", lost.Load())
	}
}
