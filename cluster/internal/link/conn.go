package link

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Conn is the calling end of a connection.
type Conn struct {
	conn    net.Conn
	writing turn
	w       *bufio.Writer
	calls   chan struct{} // has one for each call under way
	ended   chan struct{} // closed when the connection is dead

	mu      sync.Mutex
	pending map[uint64]chan answer
	last    uint64
	givenUp []uint64 // requests that nobody waits for any more; the other end has not been told
	life    life
	err     error     // set once the connection is dead
	since   time.Time // when it was opened, or, once it is dead, ended
	heard   time.Time // when something came last
	deaf    bool      // the other end knows nothing that comes without a call; see Tell
}

// maxCalls is how many calls of one connection are under way at once. It is less than a program of v0.1.0
// works on, which reads nothing more when it has its 256.
const maxCalls = 250

type answer struct {
	code    wire.Code
	payload []byte
	err     error
}

// New returns the calling end of a connection whose hellos are over. Run must run.
func New(c net.Conn) *Conn {
	return &Conn{conn: c, writing: newTurn(), w: bufio.NewWriterSize(c, 32<<10),
		calls: make(chan struct{}, maxCalls), ended: make(chan struct{}),
		pending: map[uint64]chan answer{}, since: time.Now()}
}

// writePatience returns how long a frame may take to leave: then the other end has not read for that long,
// and the connection is given up.
func writePatience(size int) time.Duration {
	return 5*time.Second + time.Duration(size)*time.Second/lifePace
}

// Call sends one request and waits for its answer. Any error but the answer's own code leaves the outcome
// open. If ctx ends before, the other end is told, and works on it no longer.
func (c *Conn) Call(ctx context.Context, m wire.Method, payload []byte) ([]byte, error) {
	if len(payload) > wire.MaxFrame {
		return nil, fmt.Errorf("a request of %d bytes: %w", len(payload), fault.ErrTooLarge)
	}
	select {
	case c.calls <- struct{}{}:
		defer func() { <-c.calls }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	id, ch, err := c.begin(len(payload))
	if err != nil {
		return nil, err
	}
	if err := c.writing.take(ctx); err != nil {
		c.forget(id)
		return nil, err
	}
	if err := c.send(id, m, payload); err != nil {
		c.Kill(err)
	}
	select {
	case a := <-ch:
		if a.err != nil {
			return nil, a.err
		}
		return a.payload, a.code.Err()
	case <-ctx.Done():
		c.giveUp(id)
		return nil, ctx.Err()
	}
}

func (c *Conn) begin(size int) (uint64, chan answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, nil, c.err
	}
	c.last++
	ch := make(chan answer, 1)
	c.pending[c.last] = ch
	c.expectLocked(size)
	return c.last, ch, nil
}

// send writes one request. The turn to write is the caller's, and given back.
func (c *Conn) send(id uint64, m wire.Method, payload []byte) error {
	defer c.endTurn()
	return c.write(id, m, payload)
}

func (c *Conn) write(id uint64, m wire.Method, payload []byte) error {
	c.conn.SetWriteDeadline(time.Now().Add(writePatience(len(payload))))
	return wire.WriteFrame(c.w, id, byte(m), payload)
}

// giveUp ends the wait for an answer, and tells the other end. If a frame is leaving just now, whoever writes
// it does that.
func (c *Conn) giveUp(id uint64) {
	c.mu.Lock()
	_, waits := c.pending[id]
	delete(c.pending, id)
	if waits && c.err == nil {
		c.givenUp = append(c.givenUp, id)
	}
	c.mu.Unlock()
	if waits && c.writing.try() {
		c.endTurn()
	}
}

// endTurn gives the turn to write back when the other end has been told of all that was given up.
func (c *Conn) endTurn() {
	for {
		for _, id := range c.untold() {
			if err := c.write(id, wire.MethodCancel, nil); err != nil {
				c.Kill(err)
				break
			}
		}
		c.writing.give()
		c.mu.Lock()
		more := len(c.givenUp) > 0
		c.mu.Unlock()
		if !more || !c.writing.try() {
			return
		}
	}
}

// untold returns the requests that were given up and not told of, once.
func (c *Conn) untold() (ids []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids, c.givenUp = c.givenUp, nil
	return ids
}

func (c *Conn) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

// Run hands the answers to their callers until the connection ends.
func (c *Conn) Run() {
	r := bufio.NewReaderSize(heardReader{c}, 32<<10)
	for {
		id, kind, payload, err := wire.ReadFrame(r)
		if err != nil {
			c.Kill(err)
			return
		}
		c.mu.Lock()
		ch := c.pending[id]
		delete(c.pending, id)
		c.life.waits = c.life.waits && len(c.pending) > 0
		c.deaf = c.deaf || id == wire.NoCall && wire.Code(kind) == wire.CodeVersion
		c.mu.Unlock()
		if ch != nil {
			ch <- answer{code: wire.Code(kind), payload: payload}
		}
	}
}

// Kill ends the connection and everything that waits on it.
func (c *Conn) Kill(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = fmt.Errorf("connection lost: %v", err) // whatever it is, it says nothing about a request
	c.givenUp, c.since = nil, time.Now()
	c.conn.Close()
	close(c.ended)
	for id, ch := range c.pending {
		delete(c.pending, id)
		ch <- answer{err: c.err}
	}
}

// Ended returns a channel that is closed when the connection has ended. The end of the other process ends it
// at once, also while nothing is asked.
func (c *Conn) Ended() <-chan struct{} { return c.ended }

// Dead reports whether the connection has ended.
func (c *Conn) Dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}
