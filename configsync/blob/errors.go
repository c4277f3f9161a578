package blob

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
	"github.com/seed48eb2e21/webfarm/internal/dirlock"
)

// Errors for callers to branch on. What is returned says more.
var (
	ErrMissing  = errors.New("blob: the store does not have this blob")
	ErrCorrupt  = errors.New("blob: the bytes are not those that the hash names")
	ErrTooLarge = errors.New("blob: larger than a blob may be")
	ErrNoRoom   = errors.New("blob: no room")
	ErrClosed   = errors.New("blob: the store is closed")

	// ErrInUse says that another store, of this process or of another one, has the folder open.
	ErrInUse = dirlock.ErrInUse
)

// explain makes an error of the disk one that says what to do, and ErrNoRoom of a disk that is full.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, errQuota):
		return fmt.Errorf("%w on the disk: %w; nothing that was there is lost: make room and try again",
			ErrNoRoom, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("blob: the store can be read, but not written: %w; mount its disk for writing", err)
	}
	return descriptors.Explain(err)
}
