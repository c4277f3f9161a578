package forward

import (
	"bytes"
	"encoding/binary"
	"math"
)

// frames follows what a server writes to a WebSocket: the answer that opens it, if that goes the same way,
// and frames behind it (RFC 6455, section 5.2). It keeps nothing but where in them it is.
type frames struct {
	head   []byte // of the answer or of a frame, as far as it has come
	left   uint64 // bytes of the frame's payload that are still to come
	closes bool   // a close frame has begun
	lost   bool   // this is no WebSocket
}

const maxAnswerHead = 1 << 20 // of the header of the answer

var opening = []byte("HTTP/1.1 101 ")

// between reports whether another frame may begin here.
func (f *frames) between() bool {
	return !f.lost && !f.closes && f.left == 0 && len(f.head) == 0
}

// pass goes on by b.
func (f *frames) pass(b []byte) {
	for len(b) > 0 && !f.lost {
		switch {
		case f.left > 0:
			n := min(f.left, uint64(len(b)))
			f.left -= n
			b = b[n:]
		case len(f.head) > 0 && f.head[0] == opening[0] || len(f.head) == 0 && b[0] == opening[0]:
			b = f.passAnswer(b)
		default:
			f.head = append(f.head, b[0])
			b = b[1:]
			f.passHead()
		}
	}
}

// passAnswer goes on within the header of the answer: no frame begins with an H. It returns what is behind
// it.
func (f *frames) passAnswer(b []byte) []byte {
	had := len(f.head)
	f.head = append(f.head, b...)
	n := min(len(f.head), len(opening))
	end := bytes.Index(f.head[max(had-3, 0):], []byte("\r\n\r\n"))
	switch {
	case !bytes.Equal(f.head[:n], opening[:n]), end < 0 && len(f.head) > maxAnswerHead:
		f.lost = true
		f.head = nil
	case end >= 0:
		rest := max(had-3, 0) + end + 4 - had
		f.head = nil
		return b[rest:]
	}
	return nil
}

// passHead looks whether the head of a frame is whole.
func (f *frames) passHead() {
	h := f.head
	if len(h) < 2 {
		return
	}
	size := 2
	n := uint64(h[1] & 0x7f)
	switch n {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	lengthEnd := size
	if h[1]&0x80 != 0 { // masked, which a server's frames are not, but may be
		size += 4
	}
	if len(h) < size {
		return
	}
	switch n {
	case 126:
		n = uint64(binary.BigEndian.Uint16(h[2:lengthEnd]))
	case 127:
		n = binary.BigEndian.Uint64(h[2:lengthEnd])
	}
	f.closes = f.closes || h[0]&0x0f == 8
	f.lost = n > math.MaxInt64
	f.left = n
	f.head = f.head[:0]
}
