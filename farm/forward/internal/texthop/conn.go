package texthop

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// answerWait is how long a peer that takes no more of a request may be silent before it counts as lost.
const answerWait = 5 * time.Second

type linkKey struct{}

// dialLink connects to a peer on behalf of the transport and tells the link that ctx carries which connection
// it got.
func dialLink(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	wire := newHopConn(conn)
	ctx.Value(linkKey{}).(*link).wire = wire
	return wire, nil
}

// hopConn is the connection under a link. It counts what was handed to the kernel: an attempt that wrote
// nothing was not started. And it keeps a failed Write back as long as an answer may come: a peer that has
// answered an upload half-way may close its end, and http.ClientConn drops the connection, with all that was
// not yet read of the answer, once a Write fails.
type hopConn struct {
	net.Conn
	writing atomic.Int32 // Writes under way; until they return nobody knows what they have sent
	written atomic.Int64
	begun   atomic.Int64 // written when the present exchange began
	asked   atomic.Int64 // Reads begun
	heard   atomic.Int64 // Reads done

	once sync.Once
	over chan struct{} // closed when nothing more can be read
}

func newHopConn(c net.Conn) *hopConn { return &hopConn{Conn: c, over: make(chan struct{})} }

func (c *hopConn) Write(b []byte) (int, error) {
	c.writing.Add(1)
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	if err != nil && c.written.Load() != c.begun.Load() {
		c.awaitAnswer()
	}
	c.writing.Add(-1) // after written, so that wroteSince sees the one or the other
	return n, err
}

// awaitAnswer returns when the peer has nothing more to say: the exchange is over, or the peer's end of the
// connection is, or a Read has waited for answerWait. While nobody reads, because the client is slow, the
// peer is not silent.
func (c *hopConn) awaitAnswer() {
	tick := time.NewTicker(answerWait)
	defer tick.Stop()
	for {
		asked := c.asked.Load()
		select {
		case <-c.over:
			return
		case <-tick.C:
		}
		if heard := c.heard.Load(); heard < asked && c.asked.Load() == asked {
			return
		}
	}
}

func (c *hopConn) Read(b []byte) (int, error) {
	c.asked.Add(1)
	n, err := c.Conn.Read(b)
	c.heard.Add(1)
	if err != nil {
		c.end()
	}
	return n, err
}

func (c *hopConn) Close() error {
	c.end()
	return c.Conn.Close()
}

func (c *hopConn) end() { c.once.Do(func() { close(c.over) }) }

// mark begins an exchange; the mark is for wroteSince. No exchange is under way on the connection.
func (c *hopConn) mark() int64 {
	m := c.written.Load()
	c.begun.Store(m)
	return m
}

// wroteSince reports whether anything may have been sent since the mark.
func (c *hopConn) wroteSince(mark int64) bool {
	return c.writing.Load() > 0 || c.written.Load() != mark
}
