package link

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// DialTimeout bounds a dial, the hellos included.
const DialTimeout = 2 * time.Second

// Config says how a Set reaches others.
type Config struct {
	// Dial connects to the node whose NodeID is id, and returns when TLS has proved who is there.
	Dial func(ctx context.Context, id string) (net.Conn, error)

	// Hello says who is calling, over a connection that Dial has opened, and hears who is called. It ends
	// with ctx.
	Hello func(ctx context.Context, c net.Conn) error

	// Spawn starts a goroutine; false, and nothing, if there will be no more.
	Spawn func(func()) bool

	// Keep reports whether a new connection to a node is opened as soon as one has ended, and not only for
	// the next call: so a death is known before anybody has to wait for it. ctx is that of the dial then, and
	// ends with the Set's user.
	Keep func(id string) (ctx context.Context, keep bool)

	// Closed is the error of a Set whose Spawn starts nothing more.
	Closed error
}

// Set holds one connection to each node that was called. A dead one is replaced by the next call.
type Set struct {
	cfg  Config
	mu   sync.Mutex
	byID map[string]*peer // by NodeID
}

// NewSet returns a set without connections.
func NewSet(cfg Config) *Set { return &Set{cfg: cfg, byID: make(map[string]*peer)} }

// peer is one node of a set.
type peer struct {
	dialing chan struct{} // holds one while somebody dials, so that callers share one dial

	mu      sync.Mutex
	conn    *Conn
	failure error     // of the last dial, if it failed
	failing time.Time // since when dials fail
	dropped bool
}

// Call asks the node whose NodeID is id. sent reports whether the request may have left this node.
func (s *Set) Call(ctx context.Context, id string, m wire.Method, payload []byte) (
	out []byte, sent bool, err error) {

	c, err := s.Get(ctx, id)
	if err != nil {
		return nil, false, err
	}
	out, err = c.Call(ctx, m, payload)
	return out, true, err
}

// Get returns the connection to a node, once there is one.
func (s *Set) Get(ctx context.Context, id string) (*Conn, error) {
	p := s.peer(id)
	if c := p.live(); c != nil {
		return c, nil
	}
	select {
	case p.dialing <- struct{}{}:
		defer func() { <-p.dialing }()
	case <-ctx.Done(): // a dial takes its time where nobody answers
		return nil, ctx.Err()
	}
	if c := p.live(); c != nil {
		return c, nil
	}
	c, err := s.dial(ctx, id)
	if err == nil {
		err = p.set(c)
	}
	if err != nil {
		p.failed(ctx, err)
		return nil, err
	}
	return c, nil
}

// Live returns the connection to a node, nil if there is none that can be used.
func (s *Set) Live(id string) *Conn { return s.peer(id).live() }

func (s *Set) peer(id string) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.byID[id]
	if p == nil {
		p = &peer{dialing: make(chan struct{}, 1)}
		s.byID[id] = p
	}
	return p
}

func (p *peer) live() *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil || p.conn.Dead() {
		return nil
	}
	return p.conn
}

func (p *peer) set(c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn, p.failure, p.failing = c, nil, time.Time{}
	if p.dropped {
		c.Kill(wire.ErrInternal)
		return fmt.Errorf("the member was found dead: %w", wire.ErrInternal)
	}
	return nil
}

func (s *Set) dial(ctx context.Context, id string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	nc, err := s.cfg.Dial(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Hello(ctx, nc); err != nil {
		nc.Close()
		return nil, err
	}
	c := New(nc)
	if !s.cfg.Spawn(func() { s.run(c, id) }) {
		nc.Close()
		return nil, s.cfg.Closed
	}
	return c, nil
}

// run hands out what comes over a connection, and sees to its replacement when it has ended.
func (s *Set) run(c *Conn, id string) {
	c.Run()
	if ctx, keep := s.cfg.Keep(id); keep {
		s.Get(ctx, id)
	}
}

// Drop closes the connection to a node that is known to be dead.
func (s *Set) Drop(id string) {
	s.mu.Lock()
	p := s.byID[id]
	delete(s.byID, id)
	s.mu.Unlock()
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped = true
	if p.conn != nil {
		p.conn.Kill(wire.ErrInternal)
	}
}

// DropAll closes every connection: they were opened in a name that is over.
func (s *Set) DropAll() {
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(s.byID))
	s.mu.Unlock()
	for _, id := range ids {
		s.Drop(id)
	}
}
