package cluster

import (
	"context"
	"fmt"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"time"
)

// A flow between two machines can vanish while both ends live: a firewall has forgotten it, or a NAT entry has expired. What is
// sent is lost then, without an error for a quarter of an hour, and a new connection would work. So whoever waits for an answer
// and hears nothing at all asks for a sign of life, and gives the connection up if none comes.
const (
	lifeSilence  = 2 * time.Second // after which a sign of life is asked for, while an answer is awaited
	lifePatience = 3 * time.Second // for it
)

// life is what a connection knows of its other end; guarded by the mutex of the connection.
type life struct {
	watched bool      // a timer runs
	heard   time.Time // when something came last, or was first waited for
	asked   bool      // for a sign of life, since then
}

// expectLocked begins the watch, when an answer is awaited.
func (c *rpcConn) expectLocked() {
	if !c.life.watched {
		c.life = life{watched: true, heard: time.Now()}
		time.AfterFunc(lifeSilence, c.look)
	}
}

func (c *rpcConn) heardLocked() { c.life.heard, c.life.asked = time.Now(), false }

// look judges the silence of the other end.
func (c *rpcConn) look() {
	c.mu.Lock()
	silent := time.Since(c.life.heard)
	next := lifeSilence - silent
	ask := false
	switch {
	case c.err != nil || len(c.pending) == 0:
		c.life.watched = false
		c.mu.Unlock()
		return
	case silent >= lifeSilence && !c.life.asked:
		c.life.asked, ask = true, true
		next = lifePatience
	case c.life.asked:
		if next = lifeSilence + lifePatience - silent; next <= 0 {
			c.mu.Unlock()
			c.kill(fmt.Errorf("nothing was heard for %v", silent))
			return
		}
	}
	time.AfterFunc(next, c.look)
	c.mu.Unlock()
	if ask {
		c.ping()
	}
}

// ping asks for a sign of life. A program that does not know the method answers that, which is one.
func (c *rpcConn) ping() {
	ctx, cancel := context.WithTimeout(context.Background(), lifePatience)
	defer cancel()
	if c.writing.take(ctx) != nil {
		return // the connection is stuck, which ends it
	}
	if err := c.send(wire.NoCall, wire.MethodPing, nil); err != nil {
		c.kill(err)
	}
}

// heardReader reads from a connection. Whatever comes is a sign of life, be it a piece of a large answer on a thin line.
type heardReader struct{ *rpcConn }

func (r heardReader) Read(p []byte) (int, error) {
	n, err := r.conn.Read(p)
	if n > 0 {
		r.mu.Lock()
		r.heardLocked()
		r.mu.Unlock()
	}
	return n, err
}
