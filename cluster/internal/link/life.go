package link

import (
	"context"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A flow between two machines can vanish while both ends live: a firewall has forgotten it, or a NAT entry
// has expired. What is sent is lost then, without an error for a quarter of an hour, and a new connection
// would work. So whoever waits for an answer and hears nothing at all asks for a sign of life, and gives the
// connection up if none comes.
const (
	lifeSilence  = 2 * time.Second // after which a sign of life is asked for, while an answer is awaited
	lifePatience = 3 * time.Second // for it
)

// Silence is for how long an end may say nothing, while an answer is awaited, before its connection is given
// up.
const Silence = lifeSilence + lifePatience

// lifePace is what a line carries in a second at the least. The other end can say nothing of a request before
// it has all of it.
const lifePace = 32 << 10

// life is what a connection knows of its other end; guarded by the mutex of the connection.
type life struct {
	watched bool      // a timer runs
	due     time.Time // of that
	heard   time.Time // when something came last, or was first waited for
	waits   bool      // something was asked since then, be it that nobody waits for the answer any more
	asked   bool      // a sign of life is part of that
	sent    int       // bytes, since then
}

// expectLocked begins the watch, when an answer is awaited.
func (c *Conn) expectLocked(size int) {
	if !c.life.waits {
		c.life.heard = time.Now()
	}
	c.life.waits = true
	c.life.sent += size
	if !c.life.watched {
		c.lookLocked(c.patienceLocked() - time.Since(c.life.heard))
	}
}

func (c *Conn) heardLocked() {
	c.life.heard, c.life.waits, c.life.asked, c.life.sent = time.Now(), len(c.pending) > 0, false, 0
	c.heard = c.life.heard
}

// patienceLocked returns for how long the other end may be silent by now.
func (c *Conn) patienceLocked() time.Duration {
	d := lifeSilence + time.Duration(c.life.sent)*time.Second/lifePace
	if c.life.asked {
		d += lifePatience
	}
	return d
}

// lookLocked has the silence of the other end judged in a while.
func (c *Conn) lookLocked(in time.Duration) {
	in = max(in, 0)
	c.life.watched, c.life.due = true, time.Now().Add(in)
	time.AfterFunc(in, c.look)
}

// look judges the silence of the other end.
func (c *Conn) look() {
	c.mu.Lock()
	ask, kill := false, false
	silent := time.Since(c.life.heard)
	switch {
	case c.err != nil || len(c.pending) == 0:
		c.life.watched = false
	// this process was held up: what came meanwhile is read first
	case time.Since(c.life.due) > lifeSilence/2:
		c.lookLocked(lifeSilence / 2)
	case silent < c.patienceLocked():
		c.lookLocked(c.patienceLocked() - silent)
	case c.life.asked:
		kill = true
	default:
		c.life.asked, ask = true, true
		c.lookLocked(lifePatience)
	}
	c.mu.Unlock()
	switch {
	case ask:
		c.ping()
	case kill:
		c.Kill(fmt.Errorf("nothing was heard for %v", silent))
	}
}

// ping asks for a sign of life. A program that does not know the method answers that, which is one.
func (c *Conn) ping() {
	ctx, cancel := context.WithTimeout(context.Background(), lifePatience)
	defer cancel()
	if c.writing.take(ctx) != nil {
		return // the connection is stuck, which ends it
	}
	if err := c.send(wire.NoCall, wire.MethodPing, nil); err != nil {
		c.Kill(err)
	}
}

// heardReader reads from a connection. Whatever comes is a sign of life, be it a piece of a large answer on a
// thin line.
type heardReader struct{ *Conn }

func (r heardReader) Read(p []byte) (int, error) {
	n, err := r.conn.Read(p)
	if n > 0 {
		r.mu.Lock()
		r.heardLocked()
		r.mu.Unlock()
	}
	return n, err
}
