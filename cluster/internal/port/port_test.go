package port

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

const secret = "Wb2Zt8mWcV0u1K1cVhQb1cB0hVw3x1mX7kYd0mC2q3E"

func newID(t testing.TB, farm, secret, node string) *trust.Identity {
	t.Helper()
	tr, err := trust.New(farm, []string{secret})
	if err != nil {
		t.Fatal(err)
	}
	id, err := tr.Identity(node)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// openPort opens a port on loopback that is closed with the test, and checks that nothing of it is left then.
func openPort(t testing.TB, id *trust.Identity) (*Port, *logBuffer) {
	t.Helper()
	return openOn(t, System{}, "127.0.0.1:0", id)
}

func openOn(t testing.TB, nw Network, addr string, id *trust.Identity) (*Port, *logBuffer) {
	t.Helper()
	log := new(logBuffer)
	p, err := Open(nw, addr, id, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if len(p.conns) != 0 || p.pending.len() != 0 {
			t.Errorf("%d connections and %d handshakes left", len(p.conns), p.pending.len())
		}
	})
	return p, log
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			ci.Latef(t, "never came true: %s", what)
		}
	}
}

func (p *Port) dial(t testing.TB, to *Port, proto, node string) net.Conn {
	t.Helper()
	c, err := p.Dial(t.Context(), to.Addr().String(), proto, node)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProtocolsShareThePort(t *testing.T) {
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	b, _ := openPort(t, newID(t, "shop", secret, "b"))
	for _, proto := range []string{"raft", "rpc"} { // registered after the port began to accept
		l := b.Listener(proto)
		c := a.dial(t, b, proto, "b")
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if PeerID(c) != "b" || PeerID(s) != "a" {
			t.Errorf("%s: ends are %q and %q", proto, PeerID(c), PeerID(s))
		}
		go fmt.Fprintf(s, "hello from %s\n", proto)
		line := make([]byte, len("hello from \n")+len(proto))
		if _, err := io.ReadFull(c, line); err != nil || string(line) != "hello from "+proto+"\n" {
			t.Errorf("%s: read %q, %v", proto, line, err)
		}
		c.Close()
		if _, err := s.Read(line); err != io.EOF {
			t.Errorf("%s: after Close the other end reads %v, want EOF", proto, err)
		}
		s.Close()
	}
	eventually(t, "closed connections are forgotten", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(a.conns) == 0 && len(b.conns) == 0
	})
}

func TestSameNumberForPackets(t *testing.T) {
	p, _ := openPort(t, newID(t, "shop", secret, "a"))
	udp := netip.MustParseAddrPort(p.Packets().LocalAddr().String())
	if udp != p.Addr() {
		t.Fatalf("TCP on %v, UDP on %v", p.Addr(), udp)
	}
	if _, err := Open(System{}, p.Addr().String(), newID(t, "shop", secret, "b"),
		slog.Default()); err == nil {
		t.Error("two ports on one address")
	}
}

func TestWildcardAddress(t *testing.T) {
	p, _ := openOn(t, System{}, ":0", newID(t, "shop", secret, "a"))
	if !p.Addr().Addr().IsUnspecified() || p.Addr().Port() == 0 {
		t.Errorf("address %v", p.Addr())
	}
}

func TestServesHTTP(t *testing.T) {
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	b, _ := openPort(t, newID(t, "shop", secret, "b"))
	type peerKey struct{}
	srv := &http.Server{
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, PeerID(c))
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "hello ", r.Context().Value(peerKey{}))
		}),
	}
	l := b.Listener("http") // before anybody dials
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return a.Dial(ctx, addr, "http", "b")
	}}
	client := &http.Client{Transport: tr}
	resp, err := client.Get("http://" + b.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "hello a" {
		t.Errorf("got %q", body)
	}
	tr.CloseIdleConnections()
	srv.Close()
	if err := <-done; err != http.ErrServerClosed {
		t.Errorf("Serve ended with %v", err)
	}
}

func TestRefusals(t *testing.T) {
	b, log := openPort(t, newID(t, "shop", secret, "b"))
	b.Listener("rpc")
	for name, c := range map[string]struct {
		id          *trust.Identity
		proto, node string
		want        error
	}{
		"other secret":   {newID(t, "shop", trust.NewSecret(), "a"), "rpc", "b", trust.ErrWrongSecret},
		"other farm":     {newID(t, "depot", secret, "a"), "rpc", "b", trust.ErrWrongFarm},
		"other node":     {newID(t, "shop", secret, "a"), "rpc", "c", trust.ErrWrongNode},
		"other protocol": {newID(t, "shop", secret, "a"), "raft", "b", nil},
	} {
		a, _ := openPort(t, c.id)
		before := b.Refused()
		conn, err := a.Dial(t.Context(), b.Addr().String(), c.proto, c.node)
		if err == nil {
			conn.Close()
			t.Fatalf("%s: let in", name)
		}
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
		eventually(t, name+" is counted", func() bool { return b.Refused() == before+1 })
	}
	b.Close() // waits for what still logs
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings about one host within a minute, want 1:\n%s", n, log)
	}
}

// A server that trusts nobody else's secret, a client that trusts both: the refusal comes after the client's
// handshake, and Dial must still report it.
func TestRefusedAfterHandshake(t *testing.T) {
	second := trust.NewSecret()
	both, err := trust.New("shop", []string{second, secret})
	if err != nil {
		t.Fatal(err)
	}
	id, err := both.Identity("a")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := openPort(t, id)
	b, log := openPort(t, newID(t, "shop", secret, "b"))
	b.Listener("rpc")
	if _, err := a.Dial(t.Context(), b.Addr().String(), "rpc", "b"); !errors.Is(err, ErrRefused) {
		t.Errorf("error %v, want ErrRefused", err)
	}
	eventually(t, "the log names the secret",
		func() bool { return strings.Contains(log.String(), "another secret") })
}

func TestStrangers(t *testing.T) {
	b, log := openPort(t, newID(t, "shop", secret, "b"))
	b.Listener("rpc")
	web := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"webfarm-rpc/1"}}
	for name, knock := range map[string]func(c net.Conn) error{
		"HTTP": func(c net.Conn) error {
			_,
				err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			return err
		},
		"garbage": func(c net.Conn) error {
			_,
				err := c.Write(bytes.Repeat([]byte{0}, 4096))
			return err
		},
		"nothing":        func(c net.Conn) error { return c.(*net.TCPConn).CloseWrite() },
		"no certificate": func(c net.Conn) error { return tls.Client(c, web).Handshake() },
		"half a " +
			"hello": func(c net.Conn) error {
			c.Write([]byte{22, 3, 1, 2, 0, 1,
				0})
			return c.(*net.TCPConn).CloseWrite()
		},
	} {
		before := b.Refused()
		c, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := knock(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		io.Copy(io.Discard, c) // until the port closes it
		c.Close()
		eventually(t, name+" is counted", func() bool { return b.Refused() == before+1 })
	}
	b.Close() // waits for what still logs
	if !strings.Contains(log.String(), "level=WARN") {
		t.Error("no warning")
	}
}

func TestFullHouse(t *testing.T) {
	b, _ := openPort(t, newID(t, "shop", secret, "b"))
	b.Listener("rpc")
	var conns []net.Conn
	for range b.maxPending {
		c, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	eventually(t, "all wait for their handshake", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.pending.len() == b.maxPending
	})
	// However many hold their connections open, a node gets in: one that waited a second makes room.
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	eventually(t, "a node gets in", func() bool {
		c, err := a.Dial(t.Context(), b.Addr().String(), "rpc", "b")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func TestListenerClose(t *testing.T) {
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	b, _ := openPort(t, newID(t, "shop", secret, "b"))
	l := b.Listener("rpc")
	if b.Listener("rpc") != l {
		t.Error("asking again returns another listener")
	}
	taken := a.dial(t, b, "rpc", "b")
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	waiting := a.dial(t, b, "rpc", "b")
	eventually(t, "it waits in the queue", func() bool { return len(l.(*listener).queue) == 1 })
	l.Close()
	l.Close()
	if _, err := waiting.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that nobody took is still open")
	}
	go s.Write([]byte("x"))
	if _, err := taken.Read(make([]byte, 1)); err != nil {
		t.Errorf("a taken connection was closed: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := a.Dial(t.Context(), b.Addr().String(), "rpc", "b"); err == nil {
		t.Error("a closed listener took a connection")
	}
	again := b.Listener("rpc")
	a.dial(t, b, "rpc", "b").Close()
	if c, err := again.Accept(); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

func TestNobodyAccepts(t *testing.T) {
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	b, _ := openPort(t, newID(t, "shop", secret, "b"))
	b.Listener("slow")
	for range backlog {
		a.dial(t, b, "slow", "b")
	}
	eventually(t, "the queue is full", func() bool {
		_, err := a.Dial(t.Context(), b.Addr().String(), "slow", "b")
		return errors.Is(err, ErrRefused)
	})
	rpc := b.Listener("rpc") // the others are not held up
	a.dial(t, b, "rpc", "b")
	if _, err := rpc.Accept(); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	b, _ := openPort(t, newID(t, "shop", secret, "b"))
	l := b.Listener("rpc")
	client := a.dial(t, b, "rpc", "b")
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	loris, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer loris.Close()
	ended := make(chan error, 4)
	go func() { _, err := l.Accept(); ended <- err }()
	go func() { _, err := server.Read(make([]byte, 1)); ended <- err }()
	go func() { _, err := client.Read(make([]byte, 1)); ended <- err }()
	go func() { _, _, err := b.Packets().ReadFrom(make([]byte, 1)); ended <- err }()
	b.Close()
	b.Close()
	for range 4 {
		if err := <-ended; err == nil {
			t.Error("something outlived Close")
		}
	}
	if _, err := b.Dial(t.Context(), a.Addr().String(), "rpc", ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial on a closed port: %v", err)
	}
	if _, err := b.Listener("rpc").Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept on a closed port: %v", err)
	}
	a.Close()
	eventually(t, "all goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestDialEnds(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { _, err := a.Dial(ctx, silent.Addr().String(), "rpc", "b"); result <- err }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	go func() { _, err := a.Dial(t.Context(), silent.Addr().String(), "rpc", "b"); result <- err }()
	eventually(t, "it dials", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.conns) == 1
	})
	a.Close()
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// failingListener fails a few times as a system does that is out of file descriptors.
type failingListener struct {
	net.Listener
	failures chan error
}

func (l *failingListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.failures:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

type failingNetwork struct {
	System
	failures chan error
}

func (n failingNetwork) Listen(addr string) (net.Listener, error) {
	l, err := n.System.Listen(addr)
	return &failingListener{l, n.failures}, err
}

func TestAcceptErrors(t *testing.T) {
	failures := make(chan error, 4)
	for range cap(failures) {
		failures <- &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	b, log := openOn(t, failingNetwork{failures: failures}, "127.0.0.1:0", newID(t, "shop", secret, "b"))
	l := b.Listener("rpc")
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	a.dial(t, b, "rpc", "b")
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	for range cap(failures) {
		failures <- &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	a.dial(t, b, "rpc", "b") // and the next, whatever waited in Accept
	a.dial(t, b, "rpc", "b")
	if n := strings.Count(log.String(), syscall.EMFILE.Error()); n != 1 {
		t.Errorf("%d warnings within a minute", n)
	}
}

// Applications get no more connections than there are descriptors for, and one peer leaves enough for the
// others. What the farm itself needs gets through beside them.
func TestConnectionsOfApplicationsAreBounded(t *testing.T) {
	a, _ := openPort(t, newID(t, "shop", secret, "a"))
	b, _ := openPort(t, newID(t, "shop", secret, "b"))
	b.maxServed = 5
	lanes, own := b.AppListener("lanes"), b.Listener("rpc")
	var open []net.Conn
	for range 3 { // then two are free
		open = append(open, a.dial(t, b, "lanes", "b"))
		accept(t, lanes)
	}
	if _, err := a.Dial(t.Context(), b.Addr().String(), "lanes", "b"); !errors.Is(err, ErrRefused) {
		t.Errorf("one too many: %v", err)
	}
	other, _ := openPort(t, newID(t, "shop", secret, "c"))
	c := other.dial(t, b, "lanes", "b")
	accept(t, lanes)
	a.dial(t, b, "rpc", "b")
	accept(t, own)
	c.Close()
	open[0].Close()
	eventually(t, "there is room again", func() bool {
		c, err := a.Dial(t.Context(), b.Addr().String(), "lanes", "b")
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err == nil
	})
}

// accept takes a connection and closes it when the other end does.
func accept(t *testing.T, l net.Listener) {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		io.Copy(io.Discard, c)
		c.Close()
	}()
}

func TestBounds(t *testing.T) {
	for limit, want := range map[int][2]int{
		0:       {256, math.MaxInt},
		64:      {8, 8},
		1024:    {64, 128},
		1 << 20: {256, 1 << 17},
	} {
		if pending, served := bounds(limit); pending != want[0] || served != want[1] {
			t.Errorf("of %d descriptors: %d pending, %d served; want %v", limit, pending, served, want)
		}
	}
}

func TestWarningsAreBounded(t *testing.T) {
	var w warnings
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if w.due("a", now) != 1 || w.due("a", now.Add(time.Second)) != 0 ||
		w.due("a", now.Add(time.Minute)) != 2 {
		t.Error("want a warning at first, none within a minute, then one for both refusals")
	}
	for i := range 3 * maxHosts {
		w.due(fmt.Sprint(i), now.Add(time.Minute))
	}
	if len(w.hosts) > maxHosts {
		t.Errorf("%d hosts remembered", len(w.hosts))
	}
	if w.due("new", now.Add(3*time.Minute)) != 1 {
		t.Error("old hosts are never forgotten")
	}
}
