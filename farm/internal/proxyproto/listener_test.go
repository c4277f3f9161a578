package proxyproto

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// pipes is a listener of connections in memory.
type pipes struct {
	conns chan net.Conn
	done  context.Context
	end   context.CancelFunc
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn)}
	p.done, p.end = context.WithCancel(context.Background())
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done.Done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.end(); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns the proxy's end of a new connection.
func (p *pipes) dial() net.Conn {
	mine, theirs := net.Pipe()
	p.conns <- theirs
	return mine
}

func everybody(net.Conn) bool { return true }
func nobody(net.Conn) bool    { return false }

// A proxy that says nothing holds up nobody else, and is cut off in time.
func TestListener(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p, log := newPipes(), &syncBuffer{}
		l := NewListener(p, everybody, slog.New(slog.NewTextHandler(log, nil)))
		accepted := make(chan *Conn)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("Accept: %v", err)
					}
					close(accepted)
					return
				}
				accepted <- c.(*Conn)
			}
		}()
		began := time.Now()
		silent := p.dial()
		for want, all := range headers {
			for _, b := range all {
				c := p.dial()
				go io.WriteString(c, string(b)+"hello")
				got := <-accepted
				hello := make([]byte, 5)
				if _, err := io.ReadFull(got, hello); err != nil || string(hello) != "hello" {
					t.Errorf("%q: %q, %v", b, hello, err)
				}
				ends := got.RemoteAddr().String() + " " + got.LocalAddr().String()
				switch want {
				case named4, named6:
					if ends != want || got.Unnamed {
						t.Errorf("%q: %s, %v; want %s", b, ends, got.Unnamed, want)
					}
				default:
					if ends != "pipe pipe" || got.Unnamed != (want == "unnamed") {
						t.Errorf("%q: %s, %v", b, ends, got.Unnamed)
					}
				}
				got.Close()
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the others waited for %v", took)
		}
		if n, err := silent.Read(make([]byte, 1)); err != io.EOF || time.Since(began) != headerTime {
			t.Errorf("the silent one: %d, %v after %v", n, err, time.Since(began))
		}
		probe := p.dial() // as balancers look whether somebody is there
		probe.Close()
		for range 100 {
			bad := p.dial()
			io.WriteString(bad, "GET / HTTP/1.")
			bad.Close()
		}
		waits := p.dial()
		if l.Close(); log.String() == "" || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("logged %s", log.String())
		}
		if _, err := waits.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("what waited is open: %v", err)
		}
		if c, ok := <-accepted; ok {
			t.Errorf("accepted %v", c)
		}
	})
}

// A header from somebody who is not trusted is never believed, and its connection is closed; without one it
// is as it was.
func TestListener_Strangers(t *testing.T) {
	p, log := newPipes(), &syncBuffer{}
	l := NewListener(p, nobody, slog.New(slog.NewTextHandler(log, nil)))
	defer l.Close()
	for _, all := range headers {
		for _, b := range all {
			go func() {
				c := p.dial()
				c.Write(b)
				c.Close()
			}()
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if c.RemoteAddr().String() != "pipe" {
				t.Errorf("%q is believed: %s", b, c.RemoteAddr())
			}
			if n, err := c.Read(make([]byte, 300)); n != 0 || !errors.Is(err, ErrStranger) {
				t.Errorf("%q: %d, %v", b, n, err)
			}
		}
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "TrustedProxies") {
		t.Errorf("logged %s", log.String())
	}
	go func() { io.WriteString(p.dial(), "PROXY / HTTP/1.1\r\n") }()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	if b, err := io.ReadAll(io.LimitReader(c, 18)); err != nil || string(b) != "PROXY / HTTP/1.1\r\n" {
		ci.Latef(t, "a request of a strange method: %q, %v", b, err)
	}
}

// An error of the listener beneath reaches whoever accepts, each once.
func TestListener_Errors(t *testing.T) {
	want := errors.New("no descriptor")
	l := NewListener(&failing{pipes: newPipes(), err: want, times: 3}, nobody, slog.New(slog.DiscardHandler))
	for range 3 {
		if _, err := l.Accept(); err != want {
			t.Errorf("Accept: %v", err)
		}
	}
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed one: %v", err)
	}
}

type failing struct {
	*pipes
	err   error
	times int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.times--; f.times >= 0 {
		return nil, f.err
	}
	return f.pipes.Accept()
}
