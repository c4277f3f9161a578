// Package descriptors knows how many files and connections a process may have open, and when it has run out
// of them.
//
// On Unix that is RLIMIT_NOFILE. The Go runtime raises the soft limit to the hard one when the process
// starts, so what Limit returns is most often the hard limit: `ulimit -n 1024` in a shell sets both, `ulimit
// -Sn 1024` the soft one only, which has no effect on a Go program. systemd's LimitNOFILE= sets both unless
// it is given as SOFT:HARD.
package descriptors

import (
	"fmt"
	"sync"
	"time"
)

// Exhausted reports whether an error says that the process, or the whole system, has no file descriptor left
// (EMFILE, ENFILE). Nothing was done then: the same call succeeds once something was closed.
func Exhausted(err error) bool { return exhausted(err) }

// Explain adds to such an error what the limit is and what to do about it. Any other error, and nil, it
// returns as it is.
func Explain(err error) error {
	if !Exhausted(err) {
		return err
	}
	if n := Limit(); n > 0 {
		return fmt.Errorf("%w; this process may have %d files and connections open: close some, or raise "+
			"the limit (ulimit -n, or LimitNOFILE= of systemd)", err, n)
	}
	return fmt.Errorf("%w; close files and connections, of this process or of others", err)
}

const (
	firstPause = 5 * time.Millisecond
	longPause  = time.Second
	sayEvery   = time.Minute
)

// Pause returns how long to wait before the next try, after a wait of d; 0 = none yet. It doubles, up to a
// second.
func Pause(d time.Duration) time.Duration { return min(max(2*d, firstPause), longPause) }

// Warning limits what is said about the lack to once a minute. Its zero value is ready for use, by many
// goroutines.
type Warning struct {
	mu   sync.Mutex
	said time.Time // guarded by mu
}

// Due reports whether it is time to say something, and notes that it was said.
func (w *Warning) Due() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.said.IsZero() && time.Since(w.said) < sayEvery {
		return false
	}
	w.said = time.Now()
	return true
}
