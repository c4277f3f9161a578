package line

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
)

const here, there, timeout = "10.0.0.1", "10.0.0.2", 3 * time.Second

// pair returns a connection over a network, with the line it goes over, and its other end.
func pair(t *testing.T, network *memnet.Network) (*Conn, *Line, net.Conn) {
	t.Helper()
	l, err := network.Host(there).Listen(":1")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := network.Host(here).Dial(t.Context(), there+":1")
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	line := new(Line)
	c := NewConn(out, line)
	t.Cleanup(func() { c.Close(); in.Close() })
	return c, line, in
}

// ask sends a request of so many bytes as raft does, and waits for the answer, which comes a while after all
// of it is there.
func ask(c *Conn, in net.Conn, kind byte, size int, after time.Duration) error {
	go func() {
		io.CopyN(io.Discard, in, int64(size))
		time.Sleep(after)
		in.Write([]byte("done"))
	}()
	c.SetDeadline(time.Now().Add(timeout))
	request := make([]byte, size)
	request[0] = kind
	if _, err := c.Write(request); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 10))
	return err
}

// A request takes as long as the line needs for it, which may be many times raft's deadline.
func TestThinLine(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, rate := range []int{1 << 20, 64 << 10, 20 << 10} {
			network := memnet.New()
			network.Limit(here, there, rate)
			c, _, in := pair(t, network)
			began := time.Now()
			if err := ask(c, in, 0, 2<<20, 0); err != nil {
				t.Errorf("2 MiB at %d KiB/s: %v after %v", rate>>10, err, time.Since(began))
			}
		}
	})
}

// The thinnest line needs some attempts, which take longer and longer.
func TestThinnestLine(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		network := memnet.New()
		network.Limit(here, there, 1<<10)
		_, line, _ := pair(t, network)
		for range 10 {
			c, _, in := pair(t, network)
			c.line = line
			if ask(c, in, 0, 64<<10, 0) == nil {
				return
			}
		}
		t.Error("64 KiB at 1 KiB/s: never")
	})
}

// A connection over which nothing moves ends soon, however fast the line was and whatever is under way.
func TestNothingMoves(t *testing.T) {
	for _, size := range []int{100, 64 << 10, 4 << 20} {
		for _, kind := range []byte{0, snapshotKind} {
			bubble.Test(t, func(t *testing.T) {
				network := memnet.New()
				c, line, in := pair(t, network)
				line.Answered(1<<20, 10*time.Millisecond)
				network.Forget(here, there)
				began := time.Now()
				err := ask(c, in, kind, size, 0)
				if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) ||
					took > timeout+time.Second {
					t.Errorf("%d bytes: %v after %v", size, err, took)
				}
				in.Close()
			})
		}
	}
}

// The answer to a snapshot is waited for as long as it may come.
func TestSnapshotIsRestored(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		network := memnet.New()
		c, line, in := pair(t, network)
		done := line.Await(func() bool { return true })
		if err := ask(c, in, snapshotKind, 1000, time.Hour); err != nil {
			t.Error(err)
		}
		c, _, in = pair(t, network)
		if err := ask(c, in, snapshotKind, 1000, time.Hour); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nobody waits: %v", err)
		}
		done()
		c, line, in = pair(t, network)
		until := time.Now().Add(time.Minute)
		defer line.Await(func() bool { return time.Now().Before(until) })()
		if err := ask(c, in, snapshotKind, 1000, time.Hour); !errors.Is(err, os.ErrDeadlineExceeded) ||
			time.Since(until) > 2*askAgain {
			t.Errorf("it is over: %v after %v", err, time.Since(until))
		}
		c, line, in = pair(t, network)
		defer line.Await(func() bool { return true })()
		if err := ask(c, in, 0, 1000, time.Hour); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("another request beside the snapshot: %v", err)
		}
		time.Sleep(2 * time.Hour) // for the other ends
	})
}
