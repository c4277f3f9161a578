package blob

import (
	"io"
	"io/fs"
	"os"
	"sync/atomic"
)

// sharedFile is an open file that is closed when the last one who holds it lets go.
type sharedFile struct {
	*os.File
	holders atomic.Int32
}

func share(f *os.File) *sharedFile {
	s := &sharedFile{File: f}
	s.holders.Store(1)
	return s
}

// hold is for who knows somebody that holds it.
func (s *sharedFile) hold() *sharedFile {
	s.holders.Add(1)
	return s
}

func (s *sharedFile) letGo() {
	if s != nil && s.holders.Add(-1) == 0 {
		s.Close()
	}
}

// packedFile is an open blob of a pack. It is a File.
type packedFile struct {
	*io.SectionReader
	in     *sharedFile
	closed atomic.Bool
}

// ReadAt implements io.ReaderAt. As of an *os.File, to read nothing is no error, wherever that is.
func (f *packedFile) ReadAt(b []byte, at int64) (int, error) {
	if len(b) == 0 && at >= 0 {
		return 0, nil
	}
	return f.SectionReader.ReadAt(b, at)
}

// Close implements io.Closer.
func (f *packedFile) Close() error {
	if f.closed.Swap(true) {
		return fs.ErrClosed
	}
	f.in.letGo()
	return nil
}
