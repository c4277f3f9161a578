//go:build unix

package descriptors

import (
	"errors"
	"math"
	"syscall"
)

// Limit returns how many descriptors this process may have open; 0 = no limit is known.
func Limit() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	if n := uint64(r.Cur); n < math.MaxInt32 { // what says "no limit" is far above, whatever its type
		return int(n)
	}
	return 0
}

func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
