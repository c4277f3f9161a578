package lane

import (
	"net"
	"testing"
	"time"
)

// tcpPair returns the two ends of a connection.
func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// asked begins to ask over a lane for an answer, and returns what is told when that is over.
func asked(l *lane) <-chan error {
	over := make(chan error, 1)
	go func() { over <- l.ask(kPing, 0, newFrame(nil), nil) }()
	return over
}

// Who asks sends the frame at once, and comes back when there is something to read.
func TestAsk(t *testing.T) {
	a, b := tcpPair(t)
	mine, other := newLane(a, 1), newLane(b, 1)
	if mine.raw == nil {
		t.Fatal("a connection of TCP does not tell when something comes")
	}
	for range 3 {
		over := asked(mine)
		if f, err := other.next(); err != nil || f.kind != kPing {
			t.Fatal(f, err)
		}
		select {
		case err := <-over:
			t.Fatal("over before anything came:", err)
		case <-time.After(5 * time.Millisecond):
		}
		if err := other.send(kPong, 0, newFrame(nil)); err != nil {
			t.Fatal(err)
		}
		if err := <-over; err != nil {
			t.Fatal(err)
		}
		if f, err := mine.next(); err != nil || f.kind != kPong {
			t.Fatal(f, err)
		}
	}
}

// The frame leaves also where nothing is to be waited for, because somebody has ended that before.
func TestAsk_Interrupted(t *testing.T) {
	a, b := tcpPair(t)
	mine, other := newLane(a, 1), newLane(b, 1)
	mine.interrupt()
	if err := <-asked(mine); err != nil {
		t.Fatal(err)
	}
	if f, err := other.next(); err != nil || f.kind != kPing {
		t.Fatal(f, err)
	}
	if _, err := mine.next(); err != errInterrupted {
		t.Fatal(err)
	}
	mine.resume()
	over := asked(mine)
	if f, err := other.next(); err != nil || f.kind != kPing {
		t.Fatal(f, err)
	}
	mine.interrupt() // while it waits
	if err := <-over; err != nil {
		t.Fatal(err)
	}
}

// What has been closed is noticed, before the question, when nobody reads, as well as behind it.
func TestAsk_Closed(t *testing.T) {
	for _, before := range []bool{true, false} {
		a, b := tcpPair(t)
		mine, other := newLane(a, 1), newLane(b, 1)
		if before {
			b.Close()
		}
		over := asked(mine)
		if !before {
			if _, err := other.next(); err != nil {
				t.Fatal(err)
			}
			b.Close()
		}
		err := <-over
		if err == nil {
			_, err = mine.next()
		}
		if err == nil {
			t.Error("a connection that is closed goes on")
		}
	}
}

// A request for a lane whose other end has gone while nobody used it is known not to have been started.
func TestAsk_LostLane(t *testing.T) {
	r := newRig(t, text("hello"))
	l := r.oneLane()
	r.server.mu.Lock()
	for _, bd := range r.server.bundles {
		bd.mu.Lock()
		lost := bd.lanes[l.number]
		bd.mu.Unlock()
		lost.Conn.Close()
	}
	r.server.mu.Unlock()
	if o, _ := r.attempt(t.Context(), "POST", "/", nil, someFacts()); o.Err == nil || !o.State.Undone() {
		t.Errorf("%v: %v", o.State, o.Err)
	}
}
