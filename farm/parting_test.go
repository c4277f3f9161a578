package farm

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// That of a trusted proxy is reset, so that the proxy knows before it sends a request that nobody will read it;
// unless it may not have the last answer yet.
func TestPart_Proxy(t *testing.T) {
	if runtime.GOOS != "linux" {
		ci.Missingf(t, "Linux, which tells whether an answer has arrived")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newClients(l, 0, slog.New(slog.DiscardHandler))
	defer c.Close()
	c.exempt = func(net.Conn) bool { return true }
	for _, answer := range []int{0, 100, 4 << 20} { // the last one is more than the system takes at once
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		server, err := c.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.note(server, http.StateActive)
		written := make(chan error, 1)
		go func() {
			_, err := server.Write(make([]byte, answer))
			written <- err
		}()
		if answer < 1<<20 {
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			end := time.Now().Add(time.Minute)
			for ; undelivered(server.(*tcpConn).TCPConn); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("a short answer is not delivered")
				}
			}
		} else {
			for !undelivered(server.(*tcpConn).TCPConn) {
				time.Sleep(time.Millisecond)
			}
		}
		c.note(server, http.StateIdle)
		c.partNow()
		got, err := io.ReadAll(conn)
		if answer < 1<<20 && (len(got) != answer || !errors.Is(err, syscall.ECONNRESET)) {
			t.Errorf("behind an answer of %d bytes: %d, and %v", answer, len(got), err)
		}
		if answer >= 1<<20 && (len(got) == 0 || err != nil) {
			t.Errorf("within an answer: %d bytes, and %v", len(got), err)
		}
	}
}

// A stop closes the connections on which nothing is on its way, at once, and waits for the others: what has
// come and is not read yet, and what is read and not known to be a request yet.
func TestPart(t *testing.T) {
	if runtime.GOOS != "linux" {
		ci.Missingf(t, "Linux, which tells whether something has come")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newClients(l, 0, slog.New(slog.DiscardHandler))
	defer c.Close()
	idle := func() (client, server net.Conn) {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		if server, err = c.Accept(); err != nil {
			t.Fatal(err)
		}
		c.note(server, http.StateActive)
		c.note(server, http.StateIdle)
		return client, server
	}
	quiet, _ := idle()
	sent, server := idle()
	io.WriteString(sent, "GET")
	for !hasSent(server.(*tcpConn).TCPConn) {
		<-time.After(time.Millisecond)
	}
	if n := c.partNow(); n != 1 {
		t.Errorf("%d connections are waited for, not the one that has sent something", n)
	}
	if _, err := quiet.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the quiet one: %v", err)
	}
	if _, err := io.ReadFull(server, make([]byte, 3)); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if n := c.partNow(); n != 1 {
		t.Errorf("%d are waited for, now that it is read", n)
	}
	began := time.Now()
	c.part(t.Context()) // it sends no more
	if took := time.Since(began); took < freshWait {
		t.Errorf("it was waited for %v", took)
	}
	sent.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := sent.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it was closed: %v", err)
	}
	c.note(server, http.StateActive)
	if n := c.partNow(); n != 0 {
		t.Errorf("%d are waited for, and one is within a request", n)
	}
}
