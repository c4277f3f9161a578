package lane

import "sync"

// carrier carries the frames of one exchange: a lane, or a stream of a trunk. One goroutine reads from it,
// any may send.
type carrier interface {
	// send sends one frame. b is of newFrame, with the payload behind it; it may be used again afterwards.
	send(k kind, flags uint8, b []byte) error

	// next waits for the next frame. What is left of the last one's payload is skipped.
	next() (frame, error)

	// peek returns some of what is left of the frame's payload, nothing at its end. It may wait. It is valid
	// until the next call.
	peek() ([]byte, error)
	// skip passes over so many bytes of what peek has returned.
	skip(n int)
	// payload returns the whole payload of the frame that next has just returned.
	payload() ([]byte, error)

	// interrupt makes a wait of next, peek or payload, and of send for a window, end with errInterrupted, now
	// and from now on.
	interrupt()
}

// readSome reads a carrier's payload as an io.Reader would.
func readSome(c carrier, p []byte) (int, error) {
	b, err := c.peek()
	n := copy(p, b)
	c.skip(n)
	return n, err
}

// buffers are for frames that are being made, and for pieces of bodies.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, headerSize+2*chunk)
	return &b
}}

func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

func putBuffer(b *[]byte) {
	if cap(*b) <= 8*chunk { // a head may have been huge
		buffers.Put(b)
	}
}
