package memnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

const (
	ipA = "10.0.0.1"
	ipB = "10.0.0.2"
	ipC = "10.0.0.3"
)

// everywhere runs a test in a bubble and outside of one.
func everywhere(t *testing.T, test func(t *testing.T)) {
	t.Run("bubble", func(t *testing.T) { bubble.Test(t, test) })
	t.Run("outside", test)
}

func listen(t *testing.T, h *Host, addr string) net.Listener {
	t.Helper()
	l, err := h.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func listenPacket(t *testing.T, h *Host, addr string) net.PacketConn {
	t.Helper()
	c, err := h.ListenPacket(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// stream connects two hosts.
func stream(t *testing.T, a, b *Host) (client, server net.Conn) {
	t.Helper()
	l := listen(t, b, ":0")
	client, err := a.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if n, err := io.WriteString(c, s); n != len(s) || err != nil {
		t.Fatalf("wrote %d of %q: %v", n, s, err)
	}
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func TestStream(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		n := New()
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		if client.LocalAddr().String() != server.RemoteAddr().String() || client.RemoteAddr().String() != server.LocalAddr().String() {
			t.Errorf("addresses %v-%v and %v-%v", client.LocalAddr(), client.RemoteAddr(), server.LocalAddr(), server.RemoteAddr())
		}
		write(t, client, "ping")
		expect(t, server, "ping")
		write(t, server, "po")
		write(t, server, "ng, and the end")
		server.Close()
		expect(t, client, "pong, and the end")
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to a closed end: %v", err)
		}
		client.Close()
		for _, err := range []error{client.Close(), client.SetDeadline(time.Time{})} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("on a closed stream: %v", err)
			}
		}
		if len(n.links) != 0 {
			t.Error("a closed stream is remembered")
		}
	})
}

// Much data, both ways at once, in odd pieces.
func TestStreamCarriesMuch(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		n := New()
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		want := make([]byte, 3<<20)
		for i := range want {
			want[i] = byte(i * 7 >> 4)
		}
		var wg sync.WaitGroup
		for _, c := range []net.Conn{client, server} {
			wg.Go(func() {
				for rest := want; len(rest) > 0; {
					k, err := c.Write(rest[:min(len(rest), 100_003)])
					if err != nil {
						t.Error(err)
						return
					}
					rest = rest[k:]
				}
			})
			wg.Go(func() {
				got := make([]byte, len(want))
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
					t.Errorf("what came differs, or %v", err)
				}
			})
		}
		wg.Wait()
	})
}

func TestWritersDoNotMix(t *testing.T) {
	n := New()
	client, server := stream(t, n.Host(ipA), n.Host(ipB))
	const size = bufferSize + 1000
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if _, err := client.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
				t.Error(err)
			}
		})
	}
	for range 4 {
		got := make([]byte, size)
		if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, bytes.Repeat(got[:1], size)) {
			t.Errorf("writes of several goroutines are mixed, or %v", err)
		}
	}
	wg.Wait()
}

func TestBackPressure(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		var wrote int
		done := make(chan error)
		go func() {
			var err error
			wrote, err = client.Write(make([]byte, bufferSize+10))
			done <- err
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("a write beyond the buffer did not wait")
		default:
		}
		expect(t, server, string(make([]byte, 10)))
		if err := <-done; err != nil || wrote != bufferSize+10 {
			t.Errorf("wrote %d, %v", wrote, err)
		}
		go func() { _, err := client.Write(make([]byte, 11)); done <- err }()
		synctest.Wait()
		client.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close while a write waits: %v", err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		start := time.Now()
		client.SetReadDeadline(start.Add(time.Second))
		_, err := client.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read: %v", err)
		}
		if time.Since(start) != time.Second {
			t.Errorf("read ended after %v", time.Since(start))
		}
		write(t, server, "x")
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read after the deadline: %v", err)
		}
		client.SetReadDeadline(time.Time{})
		expect(t, client, "x")

		client.SetWriteDeadline(start.Add(time.Minute))
		if k, err := client.Write(make([]byte, 2*bufferSize)); k != bufferSize || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v", k, err)
		}
		client.SetDeadline(start) // past
		if _, err := client.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
		// A later deadline replaces one that a read waits for; one in the past ends it at once.
		client.SetReadDeadline(time.Now().Add(time.Second))
		ended := make(chan time.Duration)
		start = time.Now()
		go func() { client.Read(make([]byte, 1)); ended <- time.Since(start) }()
		synctest.Wait()
		client.SetReadDeadline(start.Add(time.Hour))
		time.Sleep(time.Minute)
		client.SetReadDeadline(time.Unix(1, 0))
		if d := <-ended; d != time.Minute {
			t.Errorf("read ended after %v", d)
		}
	})
}

func TestCloseEndsWaiting(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		n := New()
		client, server := stream(t, n.Host(ipA), n.Host(ipB))
		l, p := listen(t, n.Host(ipA), ":0"), listenPacket(t, n.Host(ipA), ":0")
		ended := make(chan error)
		go func() { _, err := client.Read(make([]byte, 1)); ended <- err }()
		go func() { _, err := l.Accept(); ended <- err }()
		go func() { _, _, err := p.ReadFrom(make([]byte, 1)); ended <- err }()
		client.Close()
		l.Close()
		p.Close()
		for range 3 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
		server.Close()
	})
}

func TestAddresses(t *testing.T) {
	n := New()
	a := n.Host(ipA)
	l := listen(t, a, ipA+":80")
	listen(t, a, "0.0.0.0:81")
	listenPacket(t, a, ":80") // streams and packets have their own numbers
	picked := listen(t, a, ":0").Addr().(*net.TCPAddr)
	if picked.Port == 0 || picked.IP.String() != ipA || l.Addr().String() != ipA+":80" {
		t.Errorf("addresses %v and %v", picked, l.Addr())
	}
	for addr, want := range map[string]error{
		ipA + ":80": syscall.EADDRINUSE,
		ipB + ":0":  syscall.EADDRNOTAVAIL,
		"host:0":    syscall.EADDRNOTAVAIL,
		":70000":    nil,
		"nonsense":  nil,
	} {
		if _, err := a.Listen(addr); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("listen on %s: %v, want %v", addr, err, want)
		}
	}
	for addr, want := range map[string]error{
		ipA + ":82":   syscall.ECONNREFUSED,
		"10.9.9.9:80": syscall.EHOSTUNREACH,
		"host:80":     nil,
	} {
		if _, err := n.Host(ipB).Dial(t.Context(), addr); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("dial %s: %v, want %v", addr, err, want)
		}
	}
	l.Close()
	listen(t, a, ipA+":80") // free again
	six := n.Host("FD00::0:1")
	l = listen(t, six, "[fd00::1]:80")
	if _, err := a.Dial(t.Context(), "[fd00:0::1]:80"); err != nil {
		t.Errorf("dial %v: %v", l.Addr(), err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a host with a name for an address")
		}
	}()
	n.Host("host")
}

func TestFullBacklog(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		l := listen(t, n.Host(ipB), ":1")
		var first net.Conn
		for i := range backlog {
			c, err := n.Host(ipA).Dial(t.Context(), l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = c
			}
		}
		result := make(chan error)
		go func() { _, err := n.Host(ipA).Dial(t.Context(), l.Addr().String()); result <- err }()
		synctest.Wait()
		if len(result) != 0 {
			t.Error("a dial did not wait for the backlog")
		}
		if _, err := l.Accept(); err != nil {
			t.Error(err)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		l.Close()
		write(t, first, "accepted before") // by the one Accept
	})
}

func TestListenerCloseResetsWaiting(t *testing.T) {
	n := New()
	l := listen(t, n.Host(ipB), ":1")
	c, err := n.Host(ipA).Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	c.Close()
	if len(n.links) != 0 {
		t.Error("the stream is remembered")
	}
}

func TestPackets(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		n := New()
		a, b := listenPacket(t, n.Host(ipA), ":5"), listenPacket(t, n.Host(ipB), ":5")
		for _, to := range []net.Addr{b.LocalAddr(), &net.UDPAddr{IP: net.ParseIP("10.9.9.9"), Port: 5}} {
			if k, err := a.WriteTo([]byte("hello"), to); k != 5 || err != nil {
				t.Errorf("to %v: %d, %v", to, k, err)
			}
		}
		buf := make([]byte, 3)
		if k, from, err := b.ReadFrom(buf); string(buf[:k]) != "hel" || from.String() != ipA+":5" || err != nil {
			t.Errorf("got %q from %v, %v", buf[:k], from, err)
		}
		b.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, _, err := b.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		b.SetReadDeadline(time.Time{})
		for i := range 2 * packetQueue { // nobody reads: the rest is lost, and nobody waits
			a.WriteTo(fmt.Append(nil, i), b.LocalAddr())
		}
		if got := len(b.(*packetConn).queue); got != packetQueue {
			t.Errorf("%d packets wait", got)
		}
		if _, err := a.WriteTo(make([]byte, maxPacket+1), b.LocalAddr()); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("a packet too large: %v", err)
		}
	})
}

func TestDialContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New()
		l := listen(t, n.Host(ipB), ":1")
		n.Cut(ipB, ipA)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := n.Host(ipA).Dial(ctx, l.Addr().String())
		var timeout net.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
