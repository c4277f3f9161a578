package dirlock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const errorSharingViolation = syscall.Errno(32)

// Take opens the file at path, creating it, in a way that lets nobody else open it until it is closed.
func Take(path string) (*os.File, error) {
	return take(path, syscall.OPEN_ALWAYS)
}

// TakeOld is Take for a file that is there, in a folder that is open already. It creates nothing. The error is
// fs.ErrNotExist if there is no such file.
func TakeOld(dir *os.Root, name string) (*os.File, error) {
	if _, err := dir.Lstat(name); err != nil {
		return nil, err
	}
	return take(filepath.Join(dir.Name(), name), syscall.OPEN_EXISTING)
}

func take(path string, how uint32) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	const alone = 0 // share mode
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, alone, nil,
		how, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, fmt.Errorf("%w by another process, or a second time by this one", ErrInUse)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// Sync does nothing: Windows has no such thing, and NTFS journals its names.
func Sync(string) error { return nil }
