//go:build !unix

package content

import "io/fs"

// linkedTwice is not known here: a FileInfo does not say it.
func linkedTwice(fs.FileInfo) bool { return false }
