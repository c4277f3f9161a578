//go:build !windows && (!unix || aix || solaris || illumos)

package disk

import (
	"fmt"
	"os"
	"runtime"
)

// lockPath refuses: without a lock that ends with its process, a data directory would not be safe.
func lockPath(string) (*os.File, error) {
	return nil, fmt.Errorf("data directories are not supported on %s", runtime.GOOS)
}

func syncDir(string) error { return nil }
