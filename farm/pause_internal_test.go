package farm

import (
	"testing"
	"time"
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
