package raftlog

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// piece is how much is read at once. It is a multiple of what a frame begins at.
const piece = 64 << 10

// written returns what a file holds up to the last byte that is not zero, and zeros up to a multiple of 8. A
// segment is allocated in advance, so most of the newest one was never written: such parts are neither read,
// where the system knows of them, nor kept.
func written(path string) (b []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buffer, zeros := make([]byte, piece), make([]byte, piece)
	for at := int64(0); ; at += piece {
		if at = nextData(f, at) / piece * piece; at < 0 {
			break
		}
		n, err := f.ReadAt(buffer, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if got := buffer[:n]; !bytes.Equal(got, zeros[:n]) {
			b = append(append(b, make([]byte, int(at)-len(b))...), got...)
		}
		if n < piece {
			break
		}
	}
	end := lastNonZero(b)
	return append(b, make([]byte, max(end-len(b), 0))...)[:end], nil
}
