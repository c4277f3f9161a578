package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

const dialTimeout = 2 * time.Second

// peers holds one rpc connection to each member this node has called.
type peers struct {
	node *Node
	mu   sync.Mutex
	byID map[string]*peer // by NodeID
}

type peer struct {
	dialing chan struct{} // holds one while somebody dials, so that callers share one dial

	mu      sync.Mutex
	conn    *rpcConn
	dropped bool
}

// call asks the member whose NodeID is id. sent reports whether the request may have left this node.
func (p *peers) call(ctx context.Context, id string, m wire.Method, payload []byte) (out []byte, sent bool, err error) {
	c, err := p.get(ctx, id)
	if err != nil {
		return nil, false, err
	}
	out, err = c.call(ctx, m, payload)
	return out, true, err
}

func (p *peers) get(ctx context.Context, id string) (*rpcConn, error) {
	e := p.peer(id)
	if c := e.live(); c != nil {
		return c, nil
	}
	select {
	case e.dialing <- struct{}{}:
		defer func() { <-e.dialing }()
	case <-ctx.Done(): // a dial takes its time where nobody answers
		return nil, ctx.Err()
	}
	if c := e.live(); c != nil {
		return c, nil
	}
	c, err := p.dial(ctx, id)
	if err == nil {
		err = e.set(c)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p *peers) peer(id string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byID[id]
	if e == nil {
		e = &peer{dialing: make(chan struct{}, 1)}
		p.byID[id] = e
	}
	return e
}

// live returns the connection, nil if there is none that can be used.
func (e *peer) live() *rpcConn {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil || e.conn.dead() {
		return nil
	}
	return e.conn
}

func (e *peer) set(c *rpcConn) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = c
	if e.dropped {
		c.kill(wire.ErrInternal)
		return fmt.Errorf("the member was found dead: %w", wire.ErrInternal)
	}
	return nil
}

func (p *peers) dial(ctx context.Context, id string) (*rpcConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := p.node.dial(ctx, id, protoRPC)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			p.node.instance().suspectLeader(id)
		}
		return nil, err
	}
	if err := p.node.greet(ctx, c, ""); err != nil {
		c.Close()
		return nil, err
	}
	rc := newRPCConn(c)
	if !p.node.spawn(func() { p.read(rc, id) }) {
		c.Close()
		return nil, ErrClosed
	}
	return rc, nil
}

// read hands out what comes over a connection. If that breaks, a new one is tried at once: so a leader's death is known
// before anybody has to wait for it.
func (p *peers) read(c *rpcConn, id string) {
	c.read()
	if leader, _ := p.node.instance().leader.get(); wire.NodeOf(leader) == id && p.node.ctx.Err() == nil {
		p.get(p.node.ctx, id)
	}
}

// drop closes the connection to a member that gossip has found dead.
func (p *peers) drop(id string) {
	p.mu.Lock()
	e := p.byID[id]
	delete(p.byID, id)
	p.mu.Unlock()
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropped = true
	if e.conn != nil {
		e.conn.kill(wire.ErrInternal)
	}
}

// dropAll closes every connection: they were opened in the name of an incarnation that is over.
func (p *peers) dropAll() {
	p.mu.Lock()
	ids := slices.Collect(maps.Keys(p.byID))
	p.mu.Unlock()
	for _, id := range ids {
		p.drop(id)
	}
}

// dial opens a connection to the node whose NodeID is id, wherever it was last seen.
func (n *Node) dial(ctx context.Context, id, proto string) (net.Conn, error) {
	addr := n.directory.addr(id)
	if addr == "" {
		return nil, fmt.Errorf("no address known of node %s", id)
	}
	return n.port.Dial(ctx, addr, proto, id)
}

// acceptRPC serves the rpc connections that other members open.
func (n *Node) acceptRPC(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		n.wg.Go(func() {
			from, err := n.receive(c, false)
			if err != nil {
				n.log.Debug("rpc connection refused", keyError, err)
				c.Close()
				return
			}
			serveRPC(n.ctx, c, from, n.answer)
		})
	}
}
