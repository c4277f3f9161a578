package farm

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// inRequest returns both ends of a connection on which a handler runs. Its watches are looked at if looks is true.
func inRequest(t *testing.T, looks bool) (*tcpConn, net.Conn) {
	near, far := tcpPair(t)
	near.client.waits.Store(false)
	near.client.plain.Store(true)
	near.of.watches.armed = !looks // then no timer is set
	return near, far
}

func (ws *endWatches) waiting(w *endWatch) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return w.next != nil
}

// watchEnd reads as net/http does to learn that the client has gone.
func watchEnd(near *tcpConn) <-chan error {
	end := make(chan error, 1)
	go func() {
		n, err := near.Read(make([]byte, 1))
		if n == 1 && err == nil {
			err = errOneByte
		}
		end <- err
	}()
	return end
}

var errOneByte = errors.New("a byte has come")

func wantEnd(t *testing.T, end <-chan error, want error) {
	t.Helper()
	select {
	case err := <-end:
		if !errors.Is(err, want) {
			t.Fatalf("error %v, want %v", err, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the watch goes on")
	}
}

// A watch that is taken back soon has not read, and the runtime has set no timer for it. What has come meanwhile is
// read by the next one.
func TestEndWatch_TakenBack(t *testing.T) {
	near, far := inRequest(t, false)
	for range 3 {
		end := watchEnd(near)
		for !near.of.watches.waiting(&near.watch) {
			time.Sleep(time.Millisecond)
		}
		if _, err := io.WriteString(far, "x"); err != nil {
			t.Fatal(err)
		}
		near.SetReadDeadline(time.Unix(1, 0))
		wantEnd(t, end, os.ErrDeadlineExceeded)
		wantEnd(t, watchEnd(near), os.ErrDeadlineExceeded) // one that begins late
		near.SetReadDeadline(time.Time{})
		if d := &near.limits; !d.told.IsZero() || d.cut {
			t.Fatalf("the runtime was told of %v", d.told)
		}
		if n, err := near.Read(make([]byte, 8)); n != 1 || err != nil {
			t.Fatalf("%d bytes, error %v", n, err)
		}
	}
}

// A watch that lasts learns what there is to be learnt of the client.
func TestEndWatch_Lasts(t *testing.T) {
	near, far := inRequest(t, true)
	end := watchEnd(near)
	io.WriteString(far, "x")
	wantEnd(t, end, errOneByte)
	end = watchEnd(near)
	time.Sleep(3 * endLook) // or less: it ends while it reads, or before
	near.SetReadDeadline(time.Unix(1, 0))
	wantEnd(t, end, os.ErrDeadlineExceeded)
	near.SetReadDeadline(time.Time{})
	end = watchEnd(near)
	far.Close()
	wantEnd(t, end, io.EOF)
}

// A watch ends with its connection, and with the deadlines that net/http knows: who takes a connection over reads by
// single bytes if he likes.
func TestEndWatch_EndsOtherwise(t *testing.T) {
	near, far := inRequest(t, false)
	end := watchEnd(near)
	for !near.of.watches.waiting(&near.watch) {
		time.Sleep(time.Millisecond)
	}
	near.SetDeadline(time.Time{})
	io.WriteString(far, "xx")
	wantEnd(t, end, errOneByte)
	wantEnd(t, watchEnd(near), errOneByte) // at once: nobody looks

	near, _ = inRequest(t, false)
	end = watchEnd(near)
	for !near.of.watches.waiting(&near.watch) {
		time.Sleep(time.Millisecond)
	}
	near.Close()
	wantEnd(t, end, net.ErrClosed)
}

// The second look ends a wait. While nobody waits nobody looks.
func TestEndWatches(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var ws endWatches
		var first, second, third endWatch
		began := time.Now()
		ws.begin(&first)
		time.Sleep(endLook * 3 / 2)
		ws.begin(&second)
		ws.begin(&third)
		if ws.begin(&second) {
			t.Error("two waits at once")
		}
		ws.end(&second)
		ws.end(&second)
		<-second.over
		<-first.over
		if d := time.Since(began); d != 2*endLook {
			t.Errorf("the first wait took %v", d)
		}
		<-third.over
		if d := time.Since(began); d != 3*endLook {
			t.Errorf("the third wait took %v", d-endLook*3/2)
		}
		time.Sleep(time.Second)
		if ws.looks != 3 {
			t.Errorf("%d looks", ws.looks)
		}
		ws.begin(&second)
		<-second.over
		if ws.looks != 5 {
			t.Errorf("%d looks for another wait", ws.looks-3)
		}
	})
}
