package lane

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// calls counts Reads and Writes of connections.
type calls struct{ reads, writes atomic.Int64 }

func (c *calls) all() int64 { return c.reads.Load() + c.writes.Load() }

// calledConn is a connection whose Reads and Writes are counted.
type calledConn struct {
	net.Conn
	of *calls
}

func (c calledConn) Read(p []byte) (int, error) {
	c.of.reads.Add(1)
	return c.Conn.Read(p)
}

func (c calledConn) Write(p []byte) (int, error) {
	c.of.writes.Add(1)
	return c.Conn.Write(p)
}

// NetConn lets a lane wait as it does on a connection whose calls nobody counts.
func (c calledConn) NetConn() net.Conn { return c.Conn }

// calledListener accepts such connections.
type calledListener struct {
	net.Listener
	of *calls
}

func (l calledListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return calledConn{c, l.of}, nil
}

// calledPair is benchPair with both ends of its connections counted.
func calledPair(t *testing.T) (*Client, *calls) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	of := &calls{}
	srv := &Server{Logger: slog.New(slog.DiscardHandler),
		Handle: func(w *Writer, r *http.Request, _ *Facts) {
			io.Copy(io.Discard, r.Body)
			kilobyte(w)
		}}
	go srv.Serve(calledListener{l, of})
	c := NewClient(Config{Dial: func(ctx context.Context) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		return calledConn{conn, of}, nil
	}})
	t.Cleanup(func() {
		c.Close()
		l.Close()
		srv.Close()
	})
	return c, of
}

// systemCalls returns how many reads and writes this process has asked the system for, in vain or not, and whether the
// system tells.
func systemCalls() (n int64, told bool) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		if string(name) == "syscr" || string(name) == "syscw" {
			k, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil {
				return 0, false
			}
			n += k
		}
	}
	return n, true
}

// A request and an answer that are small cost four Reads and Writes, of both ends together, and no more calls of the
// system: no end looks in vain for what cannot have come. Where the system counts them (Linux), that is held as well.
func TestSystemCalls(t *testing.T) {
	const requests, most = 500, 4
	c, of := calledPair(t)
	for range 100 {
		c.once(t, "")
	}
	least, leastAsked := int64(1<<62), int64(1<<62)
	told := false
	for range 5 { // what others in the process do meanwhile is not the hop's
		var asked int64
		before := of.all()
		asked, told = systemCalls()
		for range requests {
			c.once(t, "")
		}
		least = min(least, of.all()-before)
		after, _ := systemCalls()
		leastAsked = min(leastAsked, after-asked)
	}
	each, asked := float64(least)/requests, float64(leastAsked)/requests
	t.Logf("%.2f Reads and Writes for each, %.2f calls of the system; it counts them: %v", each, asked, told)
	if each > most+0.1 {
		t.Errorf("a hop costs %.2f Reads and Writes, and there may be %d", each, most)
	}
	if told && asked > most+0.5 { // a busy machine may wake up who waits too early
		t.Errorf("a hop asks the system %.2f times to read or write, and may %d times", asked, most)
	}
}
