package raftlog

import (
	"errors"
	"os"
	"syscall"
)

const seekData = 3 // SEEK_DATA of lseek(2), which package syscall has not

// nextData returns from where on a file was written, at or after the offset, or a negative number if it was
// not. A file system that does not know says that everything was.
func nextData(f *os.File, at int64) int64 {
	next, err := f.Seek(at, seekData)
	switch {
	case errors.Is(err, syscall.ENXIO): // nothing but holes, or the end
		return -piece
	case err != nil:
		return at
	}
	return next
}
