package farm

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// tcpPair returns both ends of a connection, the first of them as a node has it.
func tcpPair(t *testing.T) (*tcpConn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newClients(l, 0, nil)
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	near, err := c.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near.(*tcpConn), far
}

func wantLate(t *testing.T, conn io.Reader) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, error %v", n, err)
	}
}

// A read ends at the deadline that was set last, whatever the runtime was told before: not earlier, where that was
// earlier, and not later.
func TestReadDeadline(t *testing.T) {
	near, _ := tcpPair(t)
	soon := 20 * time.Millisecond
	for _, c := range []struct {
		name string
		sets []time.Duration // from now; 0 = none, negative = long ago
		ends time.Duration   // of the last one
	}{
		{"one", []time.Duration{soon}, soon},
		{"an earlier one behind a later one", []time.Duration{time.Hour, soon}, soon},
		{"a later one behind an earlier one", []time.Duration{soon, 3 * soon}, 3 * soon},
		{"one behind none", []time.Duration{time.Hour, 0, soon}, soon},
		{"one behind an end", []time.Duration{time.Hour, -1, soon}, soon},
		{"a later one behind an end", []time.Duration{soon, -1, 3 * soon}, 3 * soon},
		{"an end", []time.Duration{time.Hour, -1}, 0},
		{"a second end", []time.Duration{soon, -1, -1}, 0},
		{"as in a request", []time.Duration{soon, 0, -1, 0, time.Hour, 3 * soon}, 3 * soon},
	} {
		began := time.Now()
		for _, d := range c.sets {
			at := began.Add(d)
			if d <= 0 {
				at = time.Time{}
			}
			if d < 0 {
				at = time.Unix(1, 0)
			}
			if err := near.SetReadDeadline(at); err != nil {
				t.Fatal(err)
			}
		}
		wantLate(t, near)
		if took := time.Since(began); took < c.ends {
			t.Errorf("%s: ended after %v, want %v", c.name, took, c.ends)
		}
		near.SetReadDeadline(time.Time{})
	}
}

// What comes is read when the runtime's timer has fired in between.
func TestReadDeadline_Early(t *testing.T) {
	near, far := tcpPair(t)
	near.SetReadDeadline(time.Now().Add(time.Millisecond))
	near.SetReadDeadline(time.Time{})
	time.AfterFunc(30*time.Millisecond, func() { io.WriteString(far, "x") })
	if n, err := near.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Fatalf("%d bytes, error %v", n, err)
	}
}

// A read that waits is stopped by another goroutine, and the next one is not.
func TestReadDeadline_Stop(t *testing.T) {
	near, far := tcpPair(t)
	near.SetReadDeadline(time.Now().Add(time.Hour))
	for range 20 {
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			wantLate(t, near)
		}()
		near.SetReadDeadline(time.Unix(1, 0))
		<-stopped
		near.SetReadDeadline(time.Time{})
		io.WriteString(far, "x")
		if n, err := near.Read(make([]byte, 8)); n != 1 || err != nil {
			t.Fatalf("%d bytes, error %v", n, err)
		}
	}
}

// Who has taken the connection over may read past tcpConn.Read.
func TestReadDeadline_TakenOver(t *testing.T) {
	near, far := tcpPair(t)
	near.SetReadDeadline(time.Now().Add(time.Millisecond))
	near.SetReadDeadline(time.Time{})
	time.AfterFunc(30*time.Millisecond, func() {
		io.WriteString(far, "all")
		far.Close()
	})
	if n, err := near.WriteTo(io.Discard); n != 3 || err != nil {
		t.Fatalf("%d bytes, error %v", n, err)
	}
	near, _ = tcpPair(t)
	near.SetDeadline(time.Time{})
	near.SetReadDeadline(time.Now().Add(time.Hour))
	near.SetReadDeadline(time.Now().Add(time.Millisecond))
	wantLate(t, near.TCPConn)
}

// A deadline that the application sets by itself, to a connection which its ConnContext or ConnState has seen, holds
// until net/http sets one.
func TestDeadline_OfApplication(t *testing.T) {
	near, _ := tcpPair(t)
	seen := plain(near)
	near.SetReadDeadline(time.Now().Add(time.Hour))
	seen.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	wantLate(t, near)
	near.SetReadDeadline(time.Now().Add(2 * time.Hour))
	near.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	seen.SetReadDeadline(time.Now().Add(time.Hour))
	near.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	wantLate(t, near)
	seen.SetWriteDeadline(time.Unix(1, 0))
	near.SetWriteDeadline(time.Time{})
	if _, err := near.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestWriteDeadline(t *testing.T) {
	near, _ := tcpPair(t)
	for range 2 {
		near.SetWriteDeadline(time.Time{})
		if _, err := near.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		near.SetWriteDeadline(time.Unix(1, 0))
		if _, err := near.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
}
