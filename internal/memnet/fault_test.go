package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// silent says whether nothing can be read from c for a minute of the bubble's time.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	defer c.SetReadDeadline(time.Time{})
	if k, err := c.Read(make([]byte, 10)); k > 0 || err == nil || !errors.Is(err, errTimeout) {
		t.Fatalf("read %d bytes, %v, over a path that is cut", k, err)
	}
}

func TestCutHoldsBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		write(t, client, "before ")
		n.Cut(ipA, ipB)
		write(t, client, "and after")
		silent(t, server)
		write(t, server, "the other way")
		expect(t, client, "the other way")
		client.Close()
		silent(t, server) // the end is held back too
		write(t, server, "does not know that nobody reads")
		n.Heal()
		expect(t, server, "before and after")
		if _, err := server.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
		if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to a closed end: %v", err)
		}
	})
}

func TestPartition(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		a, b, c := n.Host(ipA), n.Host(ipB), n.Host(ipC)
		ab, ba := stream(t, a, b)
		bc, cb := stream(t, b, c)
		loop, pool := stream(t, a, a)
		n.Partition([]string{ipA})
		write(t, ab, "across")
		silent(t, ba)
		write(t, ba, "across")
		silent(t, ab)
		write(t, bc, "within") // those in no group are one group
		expect(t, cb, "within")
		write(t, loop, "to itself")
		expect(t, pool, "to itself")
		n.Partition([]string{ipA, ipB}, []string{ipC})
		expect(t, ba, "across")
		expect(t, ab, "across")
		write(t, bc, "x")
		silent(t, cb)
		n.Heal()
		expect(t, cb, "x")
	})
}

func TestDialDuringCut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		l := listen(t, n.Host(ipB), ":1")
		for _, p := range [][2]string{{ipA, ipB}, {ipB, ipA}} {
			n.Cut(p[0], p[1])
			result := make(chan error)
			go func() { _, err := n.Host(ipA).Dial(t.Context(), l.Addr().String()); result <- err }()
			synctest.Wait()
			select {
			case err := <-result:
				t.Fatalf("dial over a cut path: %v", err)
			default:
			}
			n.Heal()
			if err := <-result; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPacketFaults(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		a, b := listenPacket(t, n.Host(ipA), ":1"), listenPacket(t, n.Host(ipB), ":1")
		send := func(s string) {
			if _, err := a.WriteTo([]byte(s), b.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		n.Cut(ipA, ipB)
		send("lost")
		n.Heal()
		n.Delay(ipA, ipB, time.Second)
		send("lost on the way")
		n.Cut(ipA, ipB)
		time.Sleep(2 * time.Second)
		n.Heal()
		start := time.Now()
		send("late")
		buf := make([]byte, 20)
		k, _, err := b.ReadFrom(buf)
		if string(buf[:k]) != "late" || err != nil || time.Since(start) != time.Second {
			t.Errorf("got %q after %v, %v", buf[:k], time.Since(start), err)
		}
	})
}

func TestDelay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		start := time.Now()
		n.Delay(ipA, ipB, time.Second)
		write(t, client, "slow ")
		n.Delay(ipA, ipB, time.Millisecond)
		write(t, client, "must not overtake")
		client.Close()
		expect(t, server, "slow must not overtake")
		if _, err := server.Read(make([]byte, 1)); err != io.EOF || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}

		n.Delay(ipA, ipB, time.Second)
		n.Delay(ipB, ipA, 2*time.Second)
		l := listen(t, n.Host(ipB), ":1")
		start = time.Now()
		if _, err := n.Host(ipA).Dial(t.Context(), l.Addr().String()); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("dialled in %v, %v", time.Since(start), err)
		}
		start = time.Now()
		if _, err := n.Host(ipA).Dial(t.Context(), ipB+":2"); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) != 3*time.Second {
			t.Errorf("refused in %v, %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if c, err := n.Host(ipA).Dial(ctx, l.Addr().String()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialled %v, %v", c, err)
		}
	})
}

func TestLimit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		n.Limit(ipA, ipB, 1<<20)
		start := time.Now()
		go client.Write(make([]byte, 5<<20)) // more than the stream holds
		if k, err := io.ReadFull(server, make([]byte, 5<<20)); err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("%d bytes after %v, %v", k, time.Since(start), err)
		}
		start = time.Now()
		write(t, server, "the other way")
		expect(t, client, "the other way")
		n.Delay(ipA, ipB, time.Second)
		write(t, client, string(make([]byte, 1<<10)))
		if _, err := io.ReadFull(server, make([]byte, 1<<10)); err != nil || time.Since(start) != time.Second+time.Second/1024 {
			t.Errorf("with a delay after %v, %v", time.Since(start), err)
		}
		n.Limit(ipA, ipB, 0)
		n.Delay(ipA, ipB, 0)
		start = time.Now()
		write(t, client, "fast again")
		expect(t, server, "fast again")
		if time.Since(start) != 0 {
			t.Errorf("without a limit it took %v", time.Since(start))
		}
	})
}

func TestDown(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		n := New()
		a, b := n.Host(ipA), n.Host(ipB)
		client, server := stream(t, a, b)
		l, p := listen(t, b, ":1"), listenPacket(t, b, ":1")
		ended := make(chan error)
		go func() { _, err := client.Read(make([]byte, 1)); ended <- err }()
		go func() { _, err := server.Read(make([]byte, 1)); ended <- err }()
		go func() { _, err := l.Accept(); ended <- err }()
		go func() { _, _, err := p.ReadFrom(make([]byte, 1)); ended <- err }()
		n.Down(ipB)
		for range 4 {
			if err := <-ended; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write: %v", err)
		}
		if _, err := a.Dial(t.Context(), ipB+":1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
		next := n.Host(ipB) // of the life to come
		for _, h := range []*Host{b, next} {
			if _, err := h.Listen(":1"); !errors.Is(err, syscall.ENETDOWN) {
				t.Errorf("a host that is down listens: %v", err)
			}
		}
		n.Up(ipB)
		if _, err := a.Dial(t.Context(), ipB+":1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
		listen(t, next, ":1")
		if _, err := a.Dial(t.Context(), ipB+":1"); err != nil {
			t.Error(err)
		}
		if _, err := b.Dial(t.Context(), ipB+":1"); !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("what is left of a killed process dials: %v", err)
		}
	})
}

// Behind a cut nobody learns that a host died; a host's own processes do.
func TestDownBehindCut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		n.Partition([]string{ipA}, []string{ipB})
		n.Down(ipB)
		silent(t, client)
		write(t, client, "into the void")
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read of the dead: %v", err)
		}
		n.Down(ipA)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read of the other dead: %v", err)
		}
		if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write of the dead: %v", err)
		}
	})
}

func TestDownEndsDial(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		a := n.Host(ipA)
		l := listen(t, n.Host(ipB), ":1")
		n.Cut(ipA, ipB)
		result := make(chan error)
		go func() { _, err := a.Dial(t.Context(), l.Addr().String()); result <- err }()
		synctest.Wait()
		n.Down(ipA)
		n.Up(ipA)
		n.Heal()
		if err := <-result; !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("a dial outlived its process: %v", err)
		}
	})
}

func TestNothingIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	n := New()
	for range 10 {
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		client.SetDeadline(time.Now().Add(time.Hour))
		server.SetDeadline(time.Now().Add(time.Hour))
		write(t, client, "x")
		client.Close()
		server.Close()
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines, %d before", now, before)
	}
	if len(n.links) != 0 {
		t.Errorf("%d streams remembered", len(n.links))
	}
}

// A stream that stands still loses nothing and keeps its order, and another one overtakes it.
func TestStall(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		a, b := n.Host(ipA), n.Host(ipB)
		slow, slowEnd := stream(t, a, b)
		n.Stall(ipA, ipB, 1, time.Second)
		write(t, slow, "first ")
		n.Stall(ipA, ipB, 0, 0)
		write(t, slow, "second")
		began := time.Now()
		quick, quickEnd := stream(t, a, b)
		write(t, quick, "other")
		expect(t, quickEnd, "other")
		if took := time.Since(began); took > 0 {
			t.Errorf("the other stream took %v", took)
		}
		expect(t, slowEnd, "first second")
		if took := time.Since(began); took == 0 || took > time.Second {
			t.Errorf("what stood still took %v", took)
		}
		write(t, slowEnd, "back")
		expect(t, slow, "back")
	})
}

// A stream that is forgotten takes all and delivers nothing, not even its end; what was on its way arrives, and new ones work.
func TestForget(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		a, b := n.Host(ipA), n.Host(ipB)
		c, end := stream(t, a, b)
		write(t, c, "before")
		n.Forget(ipB, ipA)
		expect(t, end, "before")
		write(t, c, "after")
		write(t, end, "back")
		c.Close()
		end.SetReadDeadline(time.Now().Add(time.Hour))
		if n, err := end.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if _, err := end.Write(make([]byte, 2*bufferSize)); err != nil {
			t.Errorf("write to an end that was closed, and cannot say so: %v", err)
		}
		fresh, freshEnd := stream(t, a, b)
		write(t, fresh, "new")
		expect(t, freshEnd, "new")
	})
}
