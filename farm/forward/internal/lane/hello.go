package lane

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// magic begins each connection, so that whoever speaks something else is told apart.
const magic = "webfarm lane\n"

// Kinds of connections, as a hello names them.
const (
	isTrunk = 1
	isLane  = 2
)

// hello is what the dialler says first. The acceptor answers it with welcome.
type hello struct {
	oldest, newest uint8  // versions of the protocol
	use            uint8  // isTrunk or isLane
	bundle         uint64 // the trunk that a lane belongs to; drawn by the dialler
	lane           uint32 // number of the lane
}

func (h hello) frame() []byte {
	b := newFrame(nil)
	b = append(b, magic...)
	b = append(b, h.oldest, h.newest, h.use)
	b = binary.BigEndian.AppendUint64(b, h.bundle)
	b = binary.BigEndian.AppendUint32(b, h.lane)
	frame{kind: kHello, flags: fMust, n: len(b) - headerSize}.put(b)
	return b
}

const helloSize = len(magic) + 3 + 8 + 4

// readHello reads what the dialler says first.
func readHello(r io.Reader) (h hello, err error) {
	p, err := readGreeting(r)
	if err != nil {
		return h, err
	}
	if len(p) < helloSize || string(p[:len(magic)]) != magic {
		return h, malformed("hello")
	}
	p = p[len(magic):]
	h.oldest, h.newest, h.use = p[0], p[1], p[2]
	h.bundle, h.lane = binary.BigEndian.Uint64(p[3:]), binary.BigEndian.Uint32(p[11:])
	return h, nil
}

// version returns the newest version that both ends speak.
func (h hello) version() (uint8, error) {
	if h.oldest > newest || h.newest < 1 || h.newest < h.oldest {
		return 0, fmt.Errorf("%w: the other end speaks versions %d to %d, this one %d", errProtocol,
			h.oldest, h.newest, newest)
	}
	return min(h.newest, newest), nil
}

// welcome is the acceptor's answer: the version in use, 0 if there is none, and why.
func welcome(version uint8, why string) []byte {
	b := append(newFrame(nil), magic...)
	b = append(b, version)
	b = append(b, why...)
	frame{kind: kHello, flags: fMust, n: len(b) - headerSize}.put(b)
	return b
}

func readWelcome(r io.Reader) error {
	p, err := readGreeting(r)
	if err != nil {
		return err
	}
	if len(p) <= len(magic) || string(p[:len(magic)]) != magic {
		return malformed("answer to a hello")
	}
	p = p[len(magic):]
	if v := p[0]; v < 1 || v > newest {
		return fmt.Errorf("%w: %q", errProtocol, p[1:])
	}
	return nil
}

func readGreeting(r io.Reader) ([]byte, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	f := parseFrame(head[:])
	if f.kind != kHello || f.n > 1<<10 {
		return nil, malformed("greeting")
	}
	p := make([]byte, f.n)
	_, err := io.ReadFull(r, p)
	return p, err
}

// greet says hello on a new connection and waits for the answer, until the deadline.
func greet(c net.Conn, h hello, deadline time.Time) error {
	c.SetDeadline(deadline)
	if _, err := c.Write(h.frame()); err != nil {
		return err
	}
	if err := readWelcome(c); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}
