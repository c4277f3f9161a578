package lane

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// lane is a connection that carries one exchange at a time.
type lane struct {
	net.Conn
	br   *bufio.Reader
	left int // of the payload of the frame that was read last

	number uint32

	wmu  turn
	werr error // of a write that failed; guarded by wmu

	seq atomic.Uint32 // of the exchange now, or of the last one

	raw syscall.RawConn // beneath; nil = there is none
	out asking          // see ask

	limits atomic.Pointer[limits] // of the exchange now, at the dialler; nil = none
	call   atomic.Pointer[call]   // likewise
	stop   atomic.Bool            // reads are interrupted

	vain vain // of whoever looks: see unheard
}

const readSize = chunk + 4<<10

func newLane(c net.Conn, number uint32) *lane {
	l := &lane{Conn: c, br: bufio.NewReaderSize(c, readSize), number: number, raw: rawOf(c)}
	l.out.once = l.sendOnce
	return l
}

func (c *lane) send(k kind, flags uint8, b []byte) error {
	frame{kind: k, flags: flags, id: c.seq.Load(), n: len(b) - headerSize}.put(b)
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.werr != nil {
		return c.werr
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		c.werr = err // what follows would not be read as what it is
		if n == len(b) {
			return nil // it may have been sent
		}
	}
	return err
}

func (c *lane) next() (frame, error) {
	for c.left > 0 {
		n, err := c.br.Discard(c.left)
		c.left -= n
		if err != nil {
			return frame{}, c.why(err)
		}
	}
	b, err := c.br.Peek(headerSize)
	if err != nil {
		return frame{}, c.why(err)
	}
	f := parseFrame(b)
	c.br.Discard(headerSize)
	c.left = f.n
	return f, nil
}

func (c *lane) peek() ([]byte, error) {
	if c.left == 0 {
		return nil, nil
	}
	if c.br.Buffered() == 0 {
		if _, err := c.br.Peek(1); err != nil {
			return nil, c.why(err)
		}
	}
	return c.br.Peek(min(c.br.Buffered(), c.left))
}

func (c *lane) skip(n int) {
	c.br.Discard(n)
	c.left -= n
}

func (c *lane) payload() ([]byte, error) {
	n := c.left
	if n <= c.br.Size() {
		b, err := c.br.Peek(n)
		if err != nil {
			return nil, c.why(err)
		}
		c.skip(n)
		return b, nil
	}
	b := make([]byte, 0, min(n, 64<<10)) // grows with what really comes
	for c.left > 0 {
		p, err := c.peek()
		if err != nil {
			return nil, err
		}
		b = append(b, p...)
		c.skip(len(p))
	}
	return b, nil
}

// why says what an error of the connection means here.
func (c *lane) why(err error) error {
	if c.stop.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return errInterrupted
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *lane) interrupt() {
	c.stop.Store(true)
	c.Conn.SetReadDeadline(time.Unix(1, 0))
}

// resume ends an interruption. Nothing of what has come is lost by it.
func (c *lane) resume() {
	c.Conn.SetReadDeadline(time.Time{})
	c.stop.Store(false)
}

// toEnd reads to the end of the exchange.
func (c *lane) toEnd() error {
	for {
		f, err := c.next()
		if err != nil {
			return err
		}
		if f.last() {
			return nil
		}
	}
}
