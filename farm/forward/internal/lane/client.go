package lane

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Client is the dialler: the connections with one peer. Its methods may be called by several goroutines at
// once.
type Client struct {
	cfg Config

	running atomic.Int64 // exchanges
	drains  atomic.Bool  // the peer takes no requests

	watching atomic.Bool // lanes are looked at: see watchSoon

	mu      sync.Mutex
	trunk   *trunk                 // nil = none yet; guarded by mu
	bundle  uint64                 // of trunk; guarded by mu
	dialing chan struct{}          // closed when the dial of a trunk is over; nil = none; guarded by mu
	dialErr error                  // of the last one; guarded by mu
	idle    []*lane                // lanes, the one that was used last at the end; guarded by mu
	lanes   map[*lane]laneInfo     // all of them; guarded by mu
	number  uint32                 // of the newest lane; guarded by mu
	down    bool                   // there is no trunk, and there should be one; guarded by mu
	dials   int                    // of lanes, under way; guarded by mu
	closed  bool                   // guarded by mu
	asked   map[question]chan bool // guarded by mu

	idleFor time.Duration // after which a lane is closed that nobody has needed
	warm    int           // lanes that are kept longer, as long as the trunk is

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // of dials and reading goroutines
}

// Config says how a Client works.
type Config struct {
	// Dial connects to the peer.
	Dial func(ctx context.Context) (net.Conn, error)

	// Take and Give ask for room for one more connection, and give it back; few says that this peer has few.
	// With nil there is always room.
	Take func(few bool) bool
	Give func()

	// Drains is called when the peer says that it takes no more requests, or takes them again. nil = nobody.
	Drains func(bool)

	// Down is called when the trunk is lost or cannot be dialled, and when there is one again. It returns at
	// once. With it, a trunk is dialled again without anybody asking for it. nil = nobody.
	Down func(bool)

	// Unheard is called when lanes were given up, so many, because what was sent over them was lost again and
	// again. nil = nobody.
	Unheard func(lanes int)
}

// laneInfo is what a Client knows of one of its lanes.
type laneInfo struct {
	bundle uint64
	since  time.Time // idle since then
}

const (
	dialTime  = 3 * time.Second
	maxDials  = 4                // of lanes, at once
	mostLanes = 256              // to one peer
	fewLanes  = 8                // that a peer may have whatever the others have
	idleTime  = 60 * time.Second // after which a lane is closed that nobody has needed
	warmLanes = 2                // that are kept longer, as long as the trunk is
	askLimit  = time.Second      // for an answer about a request's state
	drainTime = 10 * time.Second // for the end of a request that was given up, before its lane is closed
)

// NewClient returns the connections with one peer; the first request dials.
func NewClient(cfg Config) *Client {
	c := &Client{
		cfg:     cfg,
		lanes:   make(map[*lane]laneInfo),
		asked:   make(map[question]chan bool),
		idleFor: idleTime,
		warm:    warmLanes,
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close cuts every connection, and waits for dials. Requests that are under way are lost.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	t := c.trunk
	for l := range c.lanes {
		go l.Conn.Close()
	}
	c.mu.Unlock()
	c.cancel()
	if t != nil {
		t.close(errClosed)
	}
	c.wg.Wait()
}

// stream begins a stream of the trunk, which is dialled if need be.
func (c *Client) stream(ctx context.Context) (*stream, error) {
	t, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	return t.open()
}

// connect returns the trunk. Callers share one dial, and each waits for it no longer than its context.
func (c *Client) connect(ctx context.Context) (*trunk, error) {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, errClosed
		}
		if t := c.trunk; t != nil && t.alive() {
			c.mu.Unlock()
			return t, nil
		}
		over := c.dialing
		if over == nil {
			over = make(chan struct{})
			c.dialing = over
			c.wg.Go(c.dialTrunk)
		}
		c.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		c.mu.Lock()
		err := c.dialErr
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

func (c *Client) dialTrunk() {
	bundle := rand.Uint64()
	conn, err := c.dial(hello{use: isTrunk, bundle: bundle})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.closed {
		conn.Close()
		err = errClosed
	}
	if c.dialErr = err; err == nil {
		c.beginLocked(conn, bundle)
	} else {
		c.downLocked()
	}
	close(c.dialing)
	c.dialing = nil
}

func (c *Client) beginLocked(conn net.Conn, bundle uint64) {
	t := newTrunk(conn)
	t.control = func(f frame, p []byte) error {
		if f.kind == kDeadlineNow {
			return c.limitNow(t, bundle, p)
		}
		return c.receiveControl(f, p)
	}
	c.trunk, c.bundle, c.number = t, bundle, 0
	c.setDraining(false)
	c.upLocked()
	c.wg.Go(func() {
		err := t.read()
		c.lost(bundle, err)
	})
	c.wg.Go(func() { t.watch(func() bool { return c.running.Load() > 0 }, c.cutUnheard) })
	c.wg.Go(func() { c.expire(t) })
}

// dial connects and says hello.
func (c *Client) dial(h hello) (net.Conn, error) {
	h.oldest, h.newest = 1, newest
	ctx, cancel := context.WithTimeout(c.ctx, dialTime)
	defer cancel()
	conn, err := c.cfg.Dial(ctx)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	if err := greet(conn, h, deadline); err != nil {
		stop()
		conn.Close()
		return nil, err
	}
	if !stop() {
		conn.Close()
		return nil, context.Cause(ctx)
	}
	return conn, nil
}

// lost is called when a trunk has ended. Its idle lanes are of no use any more. A peer of which nothing is
// heard is lost on its lanes as well.
func (c *Client) lost(bundle uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.idle {
		c.forgetLocked(l)
	}
	c.idle = nil
	for q, answer := range c.asked {
		delete(c.asked, q)
		close(answer)
	}
	c.downLocked()
	if errors.Is(err, errSilent) {
		for l, of := range c.lanes {
			if of.bundle == bundle {
				go l.Conn.Close()
			}
		}
	}
}

// question is about the state of a request on a lane that was lost.
type question struct{ lane, seq uint32 }

// neverSeen reports whether the peer says that it has never seen the request, and will not start it.
func (c *Client) neverSeen(ctx context.Context, l *lane, seq uint32) bool {
	c.mu.Lock()
	t := c.trunk
	if of, ok := c.lanes[l]; !ok || of.bundle != c.bundle || t == nil || c.closed {
		c.mu.Unlock()
		return false
	}
	q := question{l.number, seq}
	answer := make(chan bool, 1)
	c.asked[q] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.asked, q)
	}()
	if t.send(frame{kind: kStatus}, putPair(q.lane, q.seq)) != nil {
		return false
	}
	timer := time.NewTimer(askLimit)
	defer timer.Stop()
	select {
	case seen, ok := <-answer:
		return ok && !seen
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// receiveControl takes what the peer says on the trunk.
func (c *Client) receiveControl(f frame, p []byte) error {
	switch f.kind {
	case kDrain:
		if len(p) < 1 {
			return malformed("DRAIN")
		}
		c.setDraining(p[0] != 0)
	case kSeen:
		if len(p) < 9 {
			return malformed("SEEN")
		}
		q := question{binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:])}
		c.mu.Lock()
		defer c.mu.Unlock()
		if answer := c.asked[q]; answer != nil {
			answer <- p[8] != 0
			delete(c.asked, q)
		}
	default:
		return fmt.Errorf("%w: %v from the acceptor", errProtocol, f.kind)
	}
	return nil
}

func (c *Client) setDraining(on bool) {
	if c.drains.Swap(on) != on && c.cfg.Drains != nil {
		go c.cfg.Drains(on)
	}
}

// endContext has the peer end the context of the request on a lane, and nothing more.
func (c *Client) endContext(l *lane, seq uint32) {
	c.mu.Lock()
	t := c.trunk
	mine := t != nil && c.lanes[l].bundle == c.bundle
	c.mu.Unlock()
	if mine {
		t.send(frame{kind: kCancel}, putBool(putPair(l.number, seq), true))
	}
}
