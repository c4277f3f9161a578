package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// Blobs is where the content of files is read from. A *blob.Store is one.
type Blobs interface {
	// Open returns a blob, which the caller closes, and its size in bytes. The error says which blob is not
	// there.
	Open(blob.Hash) (blob.File, int64, error)
}

// Sink is where Pack puts blobs. A *blob.Store is one.
type Sink interface {
	// Put keeps what r has, and returns its hash. If want is not zero, anything else than that blob is
	// refused. A blob that is there already is kept once.
	Put(ctx context.Context, want blob.Hash, r io.Reader) (blob.Hash, error)
}

// open opens a file or a variant, which may be in chunks.
func open(b Blobs, h blob.Hash, size int64, chunks []blob.Hash) (blob.File, error) {
	if len(chunks) > 0 {
		return &chunked{blobs: b, size: size, chunks: chunks, current: -1}, nil
	}
	return openBlob(b, blob.Ref{Hash: h, Size: size})
}

func openBlob(b Blobs, ref blob.Ref) (blob.File, error) {
	f, size, err := b.Open(ref.Hash)
	if err != nil {
		return nil, err
	}
	if size != ref.Size {
		f.Close()
		return nil, fmt.Errorf("content: blob %v has %d bytes, and the manifest says %d", ref.Hash, size, ref.Size)
	}
	return f, nil
}

// chunked is a file in chunks, of which it has one open at a time. The lock is held while a chunk is read, so
// that calls of ReadAt wait for each other.
type chunked struct {
	blobs  Blobs
	size   int64
	chunks []blob.Hash

	mu      sync.Mutex
	at      int64 // where Read goes on
	current int   // the chunk that is open; -1 if none is
	file    blob.File
	closed  bool
}

func (c *chunked) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.readLocked(p, c.at)
	c.at += int64(n)
	return n, err
}

func (c *chunked) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, errNegative
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for n < len(p) && err == nil {
		var m int
		m, err = c.readLocked(p[n:], at+int64(n))
		n += m
	}
	return n, err
}

var (
	errNegative = errors.New("content: a place before the beginning of a file")
	errWhence   = errors.New("content: seeking needs io.SeekStart, io.SeekCurrent or io.SeekEnd")
)

// readLocked reads from one chunk. It returns no error with bytes, except that of the chunk.
func (c *chunked) readLocked(p []byte, at int64) (int, error) {
	switch {
	case c.closed:
		return 0, fs.ErrClosed
	case at >= c.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	i := int(at / ChunkSize)
	if err := c.chooseLocked(i); err != nil {
		return 0, err
	}
	inside := at % ChunkSize
	n, err := c.file.ReadAt(p[:min(int64(len(p)), c.sizeOf(i)-inside)], inside)
	if n > 0 && err == io.EOF {
		err = nil
	}
	if err == io.EOF { // the chunk is shorter than it was when it was opened
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *chunked) chooseLocked(i int) error {
	if i == c.current {
		return nil
	}
	f, err := openBlob(c.blobs, blob.Ref{Hash: c.chunks[i], Size: c.sizeOf(i)})
	if err != nil {
		return err
	}
	err = c.closeCurrentLocked()
	c.file, c.current = f, i
	return err
}

func (c *chunked) sizeOf(i int) int64 { return min(ChunkSize, c.size-int64(i)*ChunkSize) }

func (c *chunked) closeCurrentLocked() error {
	if c.current < 0 {
		return nil
	}
	c.current = -1
	return c.file.Close()
}

func (c *chunked) Seek(offset int64, whence int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	default:
		return 0, errWhence
	}
	if c.closed {
		return 0, fs.ErrClosed
	}
	if offset < 0 {
		return 0, errNegative
	}
	c.at = offset
	return offset, nil
}

func (c *chunked) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fs.ErrClosed
	}
	c.closed = true
	return c.closeCurrentLocked()
}
