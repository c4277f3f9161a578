package state

import (
	"syscall"
	"time"
)

// threadTime returns the processor time of the calling thread. Unlike the clock, it does not count what other programs take.
func threadTime() time.Duration {
	const thisThread = 1 // RUSAGE_THREAD
	var r syscall.Rusage
	if syscall.Getrusage(thisThread, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
