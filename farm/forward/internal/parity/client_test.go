package parity

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds each wait of a client and of a handler.
const patience = 30 * time.Second

// client is the client's end of a connection of HTTP/1.
type client struct {
	conn    net.Conn
	notes   *notes
	trouble string // what went wrong that must not

	mu       sync.Mutex
	received []byte        // guarded by mu
	news     chan struct{} // closed and replaced when something was received; guarded by mu
	over     bool          // nothing more will be received; guarded by mu
}

// connect has a client connect whose requests will meet the handler.
func connect(t *testing.T, app *book, srv *httptest.Server, encrypted bool, do handler) *client {
	t.Helper()
	conn, page := dial(t, app, srv, do)
	c := &client{notes: page, news: make(chan struct{})}
	if encrypted {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example",
			NextProtos: []string{"http/1.1"}})
	}
	c.conn = conn
	go c.receive() // ends with the connection
	return c
}

// clients counts them. Where every address that begins with 127 is this machine, each has one of its own:
// nodes have limits for one client.
var clients atomic.Uint32

func dial(t *testing.T, app *book, srv *httptest.Server, do handler) (net.Conn, *notes) {
	t.Helper()
	var d net.Dialer
	if runtime.GOOS == "linux" {
		n := clients.Add(1)
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 1, byte(n>>8), byte(n))}
	}
	for {
		conn, err := d.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if page := app.open(conn.LocalAddr().String(), do); page != nil {
			conn.SetDeadline(time.Now().Add(2 * patience))
			return conn, page
		}
		defer conn.Close() // and not before there is another one
	}
}

func (c *client) receive() {
	b := make([]byte, 32<<10)
	for {
		n, err := c.conn.Read(b)
		c.mu.Lock()
		c.received = append(c.received, b[:n]...)
		c.over = err != nil
		close(c.news)
		c.news = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return // an end and a reset say the same: whether there is one depends on what the server has read
		}
	}
}

// step takes one step of a script: it sends bytes, unless they are
//
//	<await TEXT>  wait until that was received
//	<fin>         no more will be sent; the client goes on reading
//	<close>       the client is gone
//
// It does not matter whether bytes can be sent: the server may have heard enough.
func (c *client) step(s string) {
	switch {
	case strings.HasPrefix(s, "<await "):
		text := strings.TrimSuffix(strings.TrimPrefix(s, "<await "), ">")
		if !c.await(func() bool { return c.over || bytes.Contains(c.received, []byte(text)) }) {
			c.trouble += fmt.Sprintf("waited in vain for %q\n", text)
		}
	case s == "<fin>":
		c.conn.(interface{ CloseWrite() error }).CloseWrite()
	case s == "<close>":
		c.conn.Close()
		close(c.notes.cut)
	default:
		io.WriteString(c.conn, s)
	}
}

// await waits for a condition, which is asked for with the lock held.
func (c *client) await(ok func() bool) bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		c.mu.Lock()
		done, news := ok(), c.news
		c.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-news:
		case <-late.C:
			return false
		}
	}
}

// all waits for the end of the connection and returns what was received.
func (c *client) all() []byte {
	if !c.await(func() bool { return c.over }) {
		c.trouble += "the connection was not closed\n"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received
}

func (c *client) end(app *book) {
	c.conn.Close()
	app.forget(c.notes)
}
