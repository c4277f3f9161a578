//go:build !linux

package state

import "time"

// threadTime is not known here.
func threadTime() time.Duration { return 0 }
