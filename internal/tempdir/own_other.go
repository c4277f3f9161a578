//go:build !unix

package tempdir

import "io/fs"

// own reports whether this is a folder. Where there are no owners as unix has them, each user has temporary files of
// his own.
func own(info fs.FileInfo) bool { return info.IsDir() }
