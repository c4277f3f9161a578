//go:build unix

package e2e

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A leader that is frozen, for longer than the others wait for it, wakes up believing that it leads.
func TestFreezeLeader(t *testing.T) {
	plain(t)
	both(t, func(t *testing.T, durable bool) {
		f := formed(t, durable)
		l := f.load()
		n := f.leader()
		l.strike(func() { n.signal(n.freeze) })
		asleep := time.After(8 * time.Second)
		l.goOn()
		l.measured("freeze")
		select {
		case <-asleep:
		case <-t.Context().Done():
		}
		l.strike(func() { n.signal(n.thaw) })
		n.awaitReady()
		f.settleUnderLoad()
		l.goOn()
		l.measured("thaw")
		l.finish()
		f.end()
	})
}

// A node is frozen while it drains, and longer than it waits for its clients to be quiet. Whoever sent a request meanwhile, on
// a connection that was kept, gets the answer.
func TestFreezeWhileDraining(t *testing.T) {
	plain(t)
	scenario(t)
	f := formed(t, true)
	f.load().halt() // the nodes know of each other who is ready
	n := f.follower()
	var kept []*keptConn
	for range 20 {
		c := n.keep()
		if err := c.ask(); err != nil {
			t.Fatal(err)
		}
		if err := c.answered(); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, c)
	}
	n.signal(n.terminate)
	f.until("the node drains", func() error {
		if n.ready(t.Context()) == nil {
			return errors.New("it is ready")
		}
		return nil
	})
	n.signal(n.freeze)
	<-time.After(1200 * time.Millisecond)
	for _, c := range kept {
		if err := c.ask(); err != nil {
			t.Fatal(err)
		}
	}
	n.signal(n.thaw)
	for i, c := range kept {
		if err := c.answered(); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	n.stopped()
	n.again()
	n.awaitReady()
	f.end()
}

// keptConn is a connection to a node that is used for one request after the other.
type keptConn struct {
	net.Conn
	read *bufio.Reader
}

func (n *node) keep() *keptConn {
	t := n.farm.t
	t.Helper()
	c, err := net.DialTimeout("tcp", n.addr(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &keptConn{c, bufio.NewReader(c)}
}

func (c *keptConn) ask() error {
	_, err := io.WriteString(c, "GET /api/farm HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	return err
}

func (c *keptConn) answered() error {
	res, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}
