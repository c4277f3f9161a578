// Package sleep waits.
package sleep

import (
	"context"
	"time"
)

// For waits for d, and reports false if ctx ended before.
func For(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
