// Package bubble runs tests in bubbles of testing/synctest, under the race detector too.
package bubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// Test is synctest.Test. Under the race detector the process has one processor for as long as a bubble runs.
//
// All timers of a bubble share one context of the race detector, and a goroutine that reads from a timer which is due runs
// that timer itself, so two processors may use the context at once. The detector then corrupts its own memory and ends the
// process, often much later and elsewhere (golang/go#78156, open as of Go 1.26). One processor loses no race: what the
// detector reports is an order that nothing enforces, not that two things happened at once.
func Test(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if race.Enabled {
		processors.limit()
		defer processors.restore()
	}
	synctest.Test(t, f)
}

// processors counts the bubbles that run at once, since parallel tests may.
var processors counter

type counter struct {
	mu      sync.Mutex
	bubbles int
	before  int // of processors
}

func (c *counter) limit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bubbles++; c.bubbles == 1 {
		c.before = runtime.GOMAXPROCS(1)
	}
}

func (c *counter) restore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bubbles--; c.bubbles == 0 {
		runtime.GOMAXPROCS(c.before)
	}
}
