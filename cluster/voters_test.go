package cluster

import (
	"time"
)

// until waits for a condition, in fake time.
func (l *lab) until(d time.Duration, what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("after %v it is not yet so that %s", d, what)
		}
	}
}
