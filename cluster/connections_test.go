package cluster

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// openings counts the connections that the nodes of a lab open, and what they write to them, by the protocol
// that the first message of TLS names.
type openings struct {
	mu    sync.Mutex
	count map[string]int
	bytes map[string]int // both ways
}

// openedNet counts what one node opens.
type openedNet struct {
	Network
	by *openings
}

func (n openedNet) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := n.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &openedConn{Conn: c, by: n.by}, nil
}

type openedConn struct {
	net.Conn
	by    *openings
	proto string
}

func (c *openedConn) Write(p []byte) (int, error) {
	c.by.mu.Lock()
	if c.proto == "" {
		for _, proto := range []string{protoRaft, protoRPC, protoGossip, "shop"} {
			if bytes.Contains(p, []byte("webfarm-"+proto+"/1")) {
				c.proto += proto
			}
		}
		c.by.count[c.proto]++
	}
	c.by.bytes[c.proto] += len(p)
	c.by.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *openedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.by.mu.Lock()
	defer c.by.mu.Unlock()
	c.by.bytes[c.proto] += n
	return n, err
}

// Raft, gossip, calls and the application have connections of their own: each is opened for one of them, and
// what one of them sends is on no other's.
func TestConnectionsAreNotShared(t *testing.T) {
	t.Parallel()
	const much = 1 << 20
	unformed(t, 3, false, func(l *lab) {
		o := &openings{count: map[string]int{}, bytes: map[string]int{}}
		l.tap = func(_ *labNode, net Network) Network { return openedNet{net, o} }
		for i, n := range l.nodes {
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		leader, others := l.leader()
		time.Sleep(30 * time.Second) // gossip has exchanged whole lists
		during := func(what func()) map[string]int {
			o.mu.Lock()
			clear(o.bytes)
			o.mu.Unlock()
			what()
			time.Sleep(time.Second)
			o.mu.Lock()
			defer o.mu.Unlock()
			out := map[string]int{}
			for proto, n := range o.bytes {
				out[proto] = n
			}
			return out
		}
		little := func(what string, got map[string]int, on string) {
			l.t.Helper()
			for proto, n := range got {
				if proto == on && n < much || proto != on && n > much/10 {
					l.t.Errorf("%s: %d bytes on connections of %q", what, n, proto)
				}
			}
			if got[on] == 0 {
				l.t.Errorf("%s: nothing on connections of %q: %v", what, on, got)
			}
		}
		little("a write of the leader's", during(func() {
			for range 4 {
				leader.must("noop %s", strings.Repeat("x", much/4))
			}
		}), protoRaft)
		ln := others[0].Listener("shop")
		defer ln.Close()
		go func() {
			if c, err := ln.Accept(); err == nil {
				for p := make([]byte, 32<<10); err == nil; _, err = c.Read(p) {
				}
			}
		}()
		little("the application", during(func() {
			c, err := leader.Dial(l.ctx(time.Minute), others[0].ID(), "shop")
			if err != nil {
				l.t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write(make([]byte, much)); err != nil {
				l.t.Error(err)
			}
		}), "shop")
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, proto := range []string{protoRaft, protoRPC, protoGossip, "shop"} {
			if o.count[proto] == 0 {
				l.t.Errorf("no connection was opened for %q: %v", proto, o.count)
			}
			delete(o.count, proto)
		}
		if len(o.count) > 0 {
			l.t.Errorf("connections for none of these, or for several: %v", o.count)
		}
	})
}
