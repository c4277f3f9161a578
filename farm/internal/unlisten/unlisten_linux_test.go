package unlisten

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// echo accepts until l is closed, a little later each time so that the queue is never empty for long, and
// answers one byte by the same.
func echo(l net.Listener, wg *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer c.Close()
			io.CopyN(c, c, 1)
		})
	}
}

// visit connects and asks. It reports whether it was connected, and what became of its byte.
func visit(addr string) (connected bool, err error) {
	c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
	if err != nil {
		return false, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte("x")); err != nil {
		return true, err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return true, err
}

func timeout(err error) bool {
	late, ok := errors.AsType[net.Error](err)
	return ok && late.Timeout()
}

// Whoever was connected before the port was closed has an answer, whatever came at the same time.
func TestQuiet(t *testing.T) {
	for range 3 {
		l, err := Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var served, clients sync.WaitGroup
		served.Go(func() { echo(l, &served) })
		var asked atomic.Int64
		for range 32 {
			clients.Go(func() {
				for {
					connected, err := visit(l.Addr().String())
					switch {
					case connected && err != nil:
						t.Errorf("lost: %v", err)
						return
					case errors.Is(err, syscall.ECONNREFUSED):
						return
					case err != nil && !timeout(err):
						t.Error(err)
						return
					}
					asked.Add(1)
				}
			})
		}
		for asked.Load() < 100 {
			<-time.After(time.Millisecond)
		}
		Quiet(t.Context(), l.(*net.TCPListener))
		l.Close()
		clients.Wait()
		served.Wait()
	}
}

// It ends with its context, though somebody waits to be accepted; and with a listener that is closed.
func TestQuiet_Ends(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*looks*lookTime)
	defer cancel()
	Quiet(ctx, l.(*net.TCPListener))
	if ctx.Err() == nil {
		t.Error("it has not waited for a connection that nobody has accepted")
	}
	l.Close()
	Quiet(t.Context(), l.(*net.TCPListener))
}
