//go:build unix

package e2e

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// The process that runs a singleton is stopped in its tracks, and goes on when another one has it. It is
// never sure that it has it after the other has begun, by a clock that they share.
func TestSingleton_HolderPaused(t *testing.T) {
	scenario(t)
	if runtime.GOOS != "linux" {
		ci.Missingf(t, "a clock that processes share")
	}
	if race.Enabled {
		t.Skip("it is about clocks and not about memory")
	}
	f := holders(t)
	n, began := f.holder(0)
	n.signal(n.freeze)
	other, then := f.holder(began.fence)
	n.signal(n.thaw)
	f.until("the paused one has ended", func() error {
		if all := n.holdings(); all[len(all)-1].what == "sure" {
			return fmt.Errorf("its last word is %+v", all[len(all)-1])
		}
		return nil
	})
	sure := 0
	for _, s := range n.holdings() {
		if s.what != "sure" || s.fence != began.fence {
			continue
		}
		if sure++; s.at > then.at {
			t.Errorf("%s was sure of it at %d, and %s began at %d", n.name, s.at, other.name, then.at)
		}
	}
	if sure == 0 {
		t.Error("it was never sure")
	}
	t.Logf("taken over %v s after it began", float64(then.at-began.at)/100)
	f.end()
}
