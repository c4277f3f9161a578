package link

import (
	"context"
	"time"
)

// State is how the connection to a node is. Its zero value is that of a node that was not called, or was
// found dead since.
type State struct {
	Connected bool
	Since     time.Time // of that
	Heard     time.Time // when something came last over the present connection, or the last one
	Failure   error     // why there is none: the last dial's error, or how the connection ended
}

// State returns how the connection to a node is. It opens none.
func (s *Set) State(id string) State {
	s.mu.Lock()
	p := s.byID[id]
	s.mu.Unlock()
	if p == nil {
		return State{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	state := State{Since: p.failing, Failure: p.failure}
	if p.conn != nil {
		state = p.conn.state()
	}
	if !state.Connected && p.failure != nil {
		state.Failure = p.failure
	}
	return state
}

// failed notes that a dial has failed, unless it was given up.
func (p *peer) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failing.IsZero() {
		p.failing = time.Now()
	}
	p.failure = err
}

func (c *Conn) state() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return State{Connected: c.err == nil, Since: c.since, Heard: c.heard, Failure: c.err}
}
