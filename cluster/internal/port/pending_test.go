package port

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
)

// fromHost is a connection from a host, as far as anybody asks.
type fromHost struct {
	net.Conn
	host string
}

func (c fromHost) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.host), Port: 1} }

// A host that opens more connections than others gives way to them, and one class to no other.
func TestPending_Hosts(t *testing.T) {
	p := make(pending)
	from := func(host string) *conn { return &conn{Conn: fromHost{host: host}} }
	now := time.Now()
	var flood []*conn
	for range mostPending {
		c := from("192.0.2.1")
		flood = append(flood, c)
		if _, ok := p.add(link.Public, c, mostPending, now); !ok {
			t.Fatal("no room")
		}
	}
	if evicted, ok := p.add(link.Raft, from("192.0.2.2"), mostPending, now); evicted != nil || !ok {
		t.Error("another class has no room")
	}
	if evicted, ok := p.add(link.Public, from("192.0.2.1"), mostPending, now); evicted != nil || ok {
		t.Error("one more of the same host has room")
	}
	for i := range 100 {
		if evicted, ok := p.add(link.Public, from("192.0.2.3"), mostPending, now); evicted != flood[i] ||
			!ok {
			t.Errorf("connection %d of another host has no room", i)
		}
	}
	now = now.Add(evictAfter)
	if evicted, ok := p.add(link.Public, from("192.0.2.1"), mostPending, now); evicted != flood[100] || !ok {
		t.Error("after its time the oldest does not go")
	}
	for _, c := range flood {
		p.remove(c)
	}
	if n := p.len(); n != 102 || p[link.Public].hosts["192.0.2.1"] != 1 {
		t.Errorf("%d connections wait, want 102", n)
	}
}

// However many classes are flooded, there is room for one that is not, and so many connections wait in all.
func TestPending_All(t *testing.T) {
	const limit = 10
	p := make(pending)
	now := time.Now()
	add := func(class link.Class) (evicted *conn, ok bool) {
		return p.add(class, &conn{Conn: fromHost{host: "192.0.2.1"}}, limit, now)
	}
	for range 3 * limit {
		for _, class := range []link.Class{"", link.Public, link.Bulk} {
			add(class)
		}
	}
	for range 2 * limit / 4 { // its share
		if evicted, ok := add(link.Raft); evicted == nil || !ok {
			t.Error("no room in class raft")
		}
	}
	if n := p.len(); n != 2*limit {
		t.Errorf("%d wait, want %d", n, 2*limit)
	}
}

// Whatever keeps the handshakes of one class busy, those of another are answered; at both ends.
func TestClassesAtEitherEnd(t *testing.T) {
	for name, budget := range map[string]func(a, b *Port) *link.Budget{
		"dialling":  func(a, _ *Port) *link.Budget { return a.dials },
		"accepting": func(_, b *Port) *link.Budget { return b.accepts },
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := openPort(t, newID(t, "shop", secret, "a"))
			b, _ := openPort(t, newID(t, "shop", secret, "b"))
			b.Listener("http")
			b.Listener("rpc")
			busy := takeAll(t, budget(a, b))
			public := make(chan error, 1)
			go func() {
				c, err := a.Dial(t.Context(), b.Addr().String(), "http", "b")
				if err == nil {
					c.Close()
				}
				public <- err
			}()
			for range 10 {
				a.dial(t, b, "rpc", "b").Close()
			}
			select {
			case err := <-public:
				t.Errorf("a public connection did not wait: %v", err)
			default:
			}
			for _, s := range busy {
				s.End()
			}
			if err := <-public; err != nil {
				t.Error(err)
			}
		})
	}
}

// takeAll takes whatever public handshakes may compute at once.
func takeAll(t *testing.T, b *link.Budget) (busy []*link.Slot) {
	t.Helper()
	for {
		s, err := b.Begin(t.Context(), link.Public, "somebody")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // a machine that stands still for as long has tried nothing
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			err = s.Work(ctx)
			if cancel(); err == nil {
				break
			}
		}
		if err != nil {
			s.End()
			return busy
		}
		busy = append(busy, s)
	}
}

// Strangers who begin a handshake and then say nothing keep nobody waiting.
func TestSilenceInAHandshake(t *testing.T) {
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	b, _ := openPort(t, newID(t, "shop", secret, "b"))
	b.Listener("http")
	hello := clientHello(t, alpn("http"))
	for range 100 {
		c, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(hello); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil { // now it is the stranger's turn to speak
			t.Fatal(err)
		}
	}
	a.dial(t, b, "http", "b").Close()
}

// clientHello returns the first message of a client that wants this protocol.
func clientHello(t *testing.T, proto string) []byte {
	t.Helper()
	var hello bytes.Buffer
	c := tls.Client(recorder{&hello}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto},
		MinVersion: tls.VersionTLS13})
	if err := c.Handshake(); err == nil || hello.Len() == 0 {
		t.Fatal("no first message")
	}
	return hello.Bytes()
}

// recorder is a connection on which nothing ever comes.
type recorder struct{ sent *bytes.Buffer }

func (r recorder) Write(p []byte) (int, error)      { return r.sent.Write(p) }
func (r recorder) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (r recorder) Close() error                     { return nil }
func (r recorder) LocalAddr() net.Addr              { return nil }
func (r recorder) RemoteAddr() net.Addr             { return nil }
func (r recorder) SetDeadline(time.Time) error      { return nil }
func (r recorder) SetReadDeadline(time.Time) error  { return nil }
func (r recorder) SetWriteDeadline(time.Time) error { return nil }
