// Package dirlock keeps a folder for one user at a time, by the lock of a file, which ends with the process
// that has it, however that ends. It also makes a folder's names last.
package dirlock

import "errors"

// ErrInUse says that another process, or somebody else in this one, has the lock.
var ErrInUse = errors.New("data directory is in use")
