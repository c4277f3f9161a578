//go:build unix

package tempdir

import (
	"io/fs"
	"os"
	"syscall"
)

// own reports whether this is a folder of this user's, into which nobody else can put anything.
func own(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
