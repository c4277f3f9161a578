package texthop

import (
	"io"
	"net"
	"testing"
)

// busyConn is a connection whose Write has handed over everything but not returned yet.
type busyConn struct {
	net.Conn
	sent, release chan struct{}
}

func (c *busyConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	close(c.sent)
	<-c.release
	return n, err
}

// What a Write that has not returned yet may have sent counts as sent: the peer can have run the handler and
// failed before the writing goroutine comes back from the kernel.
func TestCountingConn_WriteUnderWay(t *testing.T) {
	here, there := net.Pipe()
	go io.Copy(io.Discard, there)
	defer here.Close()
	busy := &busyConn{Conn: here, sent: make(chan struct{}), release: make(chan struct{})}
	c := &hopConn{Conn: busy}
	before := c.mark()
	done := make(chan struct{})
	go func() { c.Write([]byte("x")); close(done) }()
	<-busy.sent
	if !c.wroteSince(before) {
		t.Error("bytes are on their way, and the attempt counts as not started")
	}
	close(busy.release)
	<-done
	if !c.wroteSince(before) {
		t.Error("bytes were written, and the attempt counts as not started")
	}
	if c.wroteSince(c.mark()) {
		t.Error("nothing was written since, and the attempt counts as started")
	}
}
