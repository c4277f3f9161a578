package blob

import "io"

// File is an open blob. ReadAt may be called by several goroutines at once. A blob that has a file of its own
// is an *os.File, so that the system can send it without copying; a small one may be a part of a file.
type File interface {
	io.ReadSeekCloser
	io.ReaderAt
}
