package broadcast_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// All who have asked before a change hear of it, once, and who asks after it waits for the next one.
func TestNotify(t *testing.T) {
	var s broadcast.Signal
	s.Notify() // nobody has asked
	one, other := s.Next(), s.Next()
	select {
	case <-one:
		t.Fatal("told of a change that was before it asked")
	default:
	}
	s.Notify()
	<-one
	<-other
	select {
	case <-s.Next():
		t.Fatal("told twice of one change")
	default:
	}
}

// Whoever takes the channel before it looks sees the last value, however many changes fall together.
func TestWatchersSeeTheLast(t *testing.T) {
	const last = 1000
	var s broadcast.Signal
	var value atomic.Int64
	var watchers sync.WaitGroup
	for range 4 {
		watchers.Go(func() {
			for {
				changed := s.Next()
				if value.Load() == last {
					return
				}
				<-changed
			}
		})
	}
	for range last {
		value.Add(1)
		s.Notify()
	}
	watchers.Wait()
}
