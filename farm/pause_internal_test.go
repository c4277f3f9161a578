package farm

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A pause is noticed by whoever looks first, and stays noticed until it is proved that nothing was missed.
func TestPulse(t *testing.T) {
	start := time.Now()
	for _, c := range []struct {
		name string
		gap  time.Duration
		wall bool // by the wall clock alone, as on a machine that was suspended
		ran  bool
	}{
		{"as usual", beatEvery, false, true},
		{"a busy machine", maxPause, false, true},
		{"stopped", maxPause + time.Millisecond, false, false},
		{"suspended", time.Hour, true, false},
		{"the clock was set back", -time.Hour, true, true},
	} {
		var p pulse
		if !p.ran(start) {
			t.Errorf("%s: not running before its first beat", c.name)
		}
		p.beat(start)
		now := start.Add(c.gap)
		if c.wall {
			now = start.Round(0).Add(c.gap) // without a monotonic reading, both are by the wall clock
		}
		if got := p.ran(now); got != c.ran {
			t.Errorf("%s: a request that comes before the next beat: ran = %v", c.name, got)
		}
		p.beat(now)
		if got := p.ran(now); got != c.ran {
			t.Errorf("%s: a request that comes after it: ran = %v", c.name, got)
		}
	}
}

// A node that gets able to use what is in force at the very moment at which a request gives up waiting for that takes
// the request.
func TestAwaitUsable(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m, err := configsync.New(configsync.Settings{Node: "n1"})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		f := &Farm{configs: m}
		for epoch := range uint64(100) {
			m.Saw(epoch + 1)
			time.Sleep(10*time.Second - shortly) // what was seen counts for 10 s
			if m.Usable() == nil {
				t.Fatal("it is usable already")
			}
			if err := f.awaitUsable(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
