package swarm

import "time"

// watchdog ends a transfer if leastProgress does not come within so much time of waiting.
type watchdog struct {
	allowed, left time.Duration
	bytes         int
	since         time.Time
	timer         *time.Timer
}

func newWatchdog(allowed time.Duration, bark func()) *watchdog {
	w := &watchdog{allowed: allowed, left: allowed, timer: time.AfterFunc(allowed, bark)}
	w.timer.Stop()
	return w
}

// start begins a wait, and pause ends it.
func (w *watchdog) start() {
	w.since = time.Now()
	w.timer.Reset(w.left)
}

func (w *watchdog) pause() {
	w.timer.Stop()
	w.left = max(w.left-time.Since(w.since), time.Millisecond)
}

func (w *watchdog) progress(n int) {
	if w.bytes += n; w.bytes >= leastProgress {
		w.bytes, w.left = 0, w.allowed
	}
}

func (w *watchdog) stop() { w.timer.Stop() }
