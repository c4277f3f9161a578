//go:build !unix

package descriptors

import (
	"errors"
	"syscall"
)

// Limit returns how many descriptors this process may have open; 0 = no limit is known. Other systems than
// Unix have none that is worth counting: on Windows it is about 16 million.
func Limit() int { return 0 }

const (
	tooManyFiles   = syscall.Errno(4)     // ERROR_TOO_MANY_OPEN_FILES
	tooManySockets = syscall.Errno(10024) // WSAEMFILE
)

func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, tooManyFiles) || errors.Is(err, tooManySockets)
}
