//go:build unix

package content

import (
	"io/fs"
	"syscall"
)

// linkedTwice reports whether a file has more than one name.
func linkedTwice(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}
