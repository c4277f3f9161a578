package blob

import "io"

// File is an open blob. ReadAt may be called by several goroutines at once. What a store on disk opens is an
// *os.File, so that the system can send it without copying.
type File interface {
	io.ReadSeekCloser
	io.ReaderAt
}
