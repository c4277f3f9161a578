package farm

import "time"

// Pause has a node be as if its process had not run for d until now, with the rest of the machine going on.
func Pause(f *Farm, d time.Duration) {
	last := time.Now().Add(-d)
	f.pulse.last.Store(&last)
}
