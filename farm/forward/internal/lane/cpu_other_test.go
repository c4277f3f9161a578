//go:build !linux

package lane

import "time"

// processorTime is not known here.
func processorTime() time.Duration { return 0 }
