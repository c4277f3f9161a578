package lane

import (
	"bufio"
	"errors"
	"io"
	"net"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

// tunnel carries raw bytes both ways, between the client's connection and a handler that has taken it over.
func (x *call) tunnel() error {
	if err := x.shortFirst(); err != nil {
		return err
	}
	conn, brw, err := x.control().Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	x.out.State = attempt.Committed
	x.noInterrupt() // net/http ends the context of the request when the client half-closes its connection
	up := make(chan struct{})
	go func() {
		defer close(up)
		x.fromClient(brw.Reader)
	}()
	err = x.toClient(conn)
	conn.Close() // ends fromClient
	<-up
	if x.lane != nil {
		x.client.drop(x.lane) // nobody knows what is still on it
		x.lane = nil
	}
	return err
}

// toClient copies what the handler writes, until it closes the connection.
func (x *call) toClient(conn net.Conn) error {
	for {
		f, err := x.c.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case kReset:
			return nil
		case kEnd:
			if c, ok := conn.(interface{ CloseWrite() error }); ok {
				c.CloseWrite()
			}
		case kData:
			if err := x.copyTo(conn); err != nil {
				return x.clientGone(err)
			}
		}
	}
}

func (x *call) copyTo(w io.Writer) error {
	for {
		p, err := x.c.peek()
		if err != nil || len(p) == 0 {
			return err
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
		x.c.skip(len(p))
	}
}

// fromClient copies what the client sends. While nothing comes, it holds no buffer but the server's own.
func (x *call) fromClient(br *bufio.Reader) {
	for {
		if _, err := br.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				x.c.send(kEnd, 0, newFrame(nil))
			} else {
				x.c.send(kReset, 0, append(newFrame(nil), resetCanceled))
			}
			return
		}
		if x.passOn(br) != nil {
			return
		}
	}
}

func (x *call) passOn(br *bufio.Reader) error {
	b := getBuffer()
	defer putBuffer(b)
	p, _ := br.Peek(min(br.Buffered(), chunk))
	*b = append(newFrame(*b), p...)
	br.Discard(len(p))
	return x.c.send(kData, 0, *b)
}

// shortFirst sends a short body that did not go with its request, and was not asked for: who takes the
// connection over finds it there.
func (x *call) shortFirst() error {
	s := x.Upload.short
	x.body.mu.Lock()
	asked := x.body.begun
	x.body.mu.Unlock()
	if s == nil || x.body.sent || asked {
		return nil
	}
	<-s.full
	p, _, _ := s.all()
	return x.c.send(kData, 0, append(newFrame(nil), p...))
}
