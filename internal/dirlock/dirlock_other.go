//go:build !windows && (!unix || aix || solaris || illumos)

package dirlock

import (
	"fmt"
	"os"
	"runtime"
)

// Take refuses: without a lock that ends with its process, a data directory would not be safe.
func Take(string) (*os.File, error) {
	return nil, fmt.Errorf("data directories are not supported on %s", runtime.GOOS)
}

// TakeOld refuses, as Take does.
func TakeOld(*os.Root, string) (*os.File, error) { return Take("") }

// Sync does nothing.
func Sync(string) error { return nil }
