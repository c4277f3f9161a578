package cluster

import (
	"sync"
	"time"
)

const (
	warnPause  = time.Minute // between two warnings about one thing
	warnAbouts = 1000        // things that are remembered
)

// warnings remembers what was warned about, so that it is not said over and over. The zero value has warned
// of nothing.
type warnings struct {
	mu   sync.Mutex
	last map[string]time.Time // by what they are about
}

// warnNow reports whether a warning about something is to be given now, and notes that it is.
func (w *warnings) warnNow(about string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, said := w.last[about]; said && now.Sub(last) < warnPause {
		return false
	}
	if w.last == nil || len(w.last) > warnAbouts {
		w.last = map[string]time.Time{}
	}
	w.last[about] = now
	return true
}

// warnOnce logs a warning about one thing at most once a minute.
func (b *base) warnOnce(about, text string, err error, more ...any) {
	if b.warned.warnNow(about, time.Now()) {
		b.log.Warn(text, append([]any{keyError, err}, more...)...)
	}
}
