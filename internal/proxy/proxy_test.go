package proxy

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

const (
	patience = time.Minute
	silence  = 200 * time.Millisecond // in which something would have come that must not
)

// lab is a network between two nodes, a and b, each a listener that echoes lines and a socket for packets.
type lab struct {
	*Network
	t    *testing.T
	udp  map[string]*net.UDPConn
	tcp  map[string]*net.TCPListener
	addr map[string]string // in front

	mu    sync.Mutex
	ports map[uint16]string // of outgoing connections; guarded by mu
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, udp: map[string]*net.UDPConn{}, tcp: map[string]*net.TCPListener{}, addr: map[string]string{}, ports: map[uint16]string{}}
	l.Network = New(l.owner)
	t.Cleanup(l.Close)
	for _, node := range []string{"a", "b"} {
		l.add(node)
	}
	return l
}

func (l *lab) add(node string) {
	l.t.Helper()
	var d door
	if err := d.open(); err != nil {
		l.t.Fatal(err)
	}
	l.udp[node], l.tcp[node] = d.udp, d.tcp
	l.t.Cleanup(func() { d.udp.Close(); d.tcp.Close() })
	go echo(d.tcp)
	var err error
	if l.addr[node], err = l.Add(node, d.addr.String()); err != nil {
		l.t.Fatal(err)
	}
}

// echo answers every line with the same line; it ends with the listener.
func echo(tcp *net.TCPListener) {
	for {
		c, err := tcp.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for s := bufio.NewScanner(c); s.Scan(); {
				fmt.Fprintln(c, s.Text())
			}
		}()
	}
}

func (l *lab) owner(local, _ netip.AddrPort) (node string, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ports[local.Port()], true
}

// dial opens a connection of a to b.
func (l *lab) dial() *line {
	l.t.Helper()
	l.mu.Lock() // held until the port is known
	defer l.mu.Unlock()
	c, err := net.Dial("tcp", l.addr["b"])
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	l.ports[addrOf(c.LocalAddr()).Port()] = "a"
	return &line{l.t, c, bufio.NewReader(c)}
}

type line struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (c *line) say(text string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// hears expects the text within a time.
func (c *line) hears(text string, within time.Duration) error {
	c.conn.SetReadDeadline(time.Now().Add(within))
	got, err := c.in.ReadString('\n')
	if err == nil && got != text+"\n" {
		err = fmt.Errorf("%q, not %q", got, text)
	}
	return err
}

// echo says something and returns how long it took until it came back, from before the first byte was sent.
func (c *line) echo(text string) (time.Duration, error) {
	c.t.Helper()
	begin := time.Now()
	c.say(text)
	err := c.hears(text, patience)
	return time.Since(begin), err
}

// packet sends one and reports whether it arrived.
func (l *lab) packet(from, to string) bool {
	l.t.Helper()
	if _, err := l.udp[from].WriteToUDPAddrPort([]byte(from+" to "+to), netip.MustParseAddrPort(l.addr[to])); err != nil {
		l.t.Fatal(err)
	}
	l.udp[to].SetReadDeadline(time.Now().Add(silence))
	buf := make([]byte, 100)
	n, sender, err := l.udp[to].ReadFromUDPAddrPort(buf)
	if err != nil {
		return false
	}
	if string(buf[:n]) != from+" to "+to || sender.String() != l.addr[from] {
		l.t.Errorf("%q from %v, not from %v", buf[:n], sender, l.addr[from])
	}
	return true
}

// until waits for something that need not happen at the first try.
func until(t *testing.T, what string, try func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !try(); {
		if time.Now().After(end) {
			ci.Latef(t, "%s", what)
		}
	}
}

func TestGoodLine(t *testing.T) {
	l := newLab(t)
	c := l.dial()
	c.say("hello")
	if err := c.hears("hello", patience); err != nil {
		t.Error(err)
	}
	until(t, "no packet arrives", func() bool { return l.packet("a", "b") })
	until(t, "no packet arrives", func() bool { return l.packet("b", "a") })
	if n := l.Strangers(); n != 0 {
		t.Errorf("%d strangers", n)
	}
}

// A cut in one direction stops that direction only; what was sent meanwhile arrives when the link is healed, by a stream,
// and never, by packet.
func TestCutOneWay(t *testing.T) {
	for _, cut := range [][2]string{{"a", "b"}, {"b", "a"}} {
		from, to := cut[0], cut[1]
		t.Run(from+" to "+to, func(t *testing.T) {
			l := newLab(t)
			c := l.dial()
			c.say("one")
			if err := c.hears("one", patience); err != nil {
				t.Fatal(err)
			}
			l.Set(from, to, Link{Cut: true})
			c.say("two")
			if err := c.hears("two", silence); err == nil {
				t.Error("an echo came across a cut")
			}
			if l.packet(from, to) {
				t.Error("a packet came across a cut")
			}
			until(t, "the other direction is cut", func() bool { return l.packet(to, from) })
			l.Heal()
			if err := c.hears("two", patience); err != nil {
				t.Error(err)
			}
			until(t, "not healed", func() bool { return l.packet(from, to) })
		})
	}
}

// A connection opened across a cut hangs, and is of no use later.
func TestOpenAcrossCut(t *testing.T) {
	l := newLab(t)
	l.Set("b", "a", Link{Cut: true})
	c := l.dial()
	c.say("one")
	until(t, "it does not hang", func() bool { // if the network sees it only after Heal, it was not opened across a cut
		if err := c.hears("one", silence); !isTimeout(err) {
			t.Fatalf("across a cut: %v", err)
		}
		return l.hung.Load() == 1
	})
	l.Heal()
	if err := c.hears("one", patience); err == nil || isTimeout(err) {
		t.Errorf("after healing: %v", err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// The end of a process on one side is not known on the other while the link is cut.
func TestEndAcrossCut(t *testing.T) {
	l := newLab(t)
	c := l.dial()
	c.say("one")
	if err := c.hears("one", patience); err != nil {
		t.Fatal(err)
	}
	l.Set("b", "a", Link{Cut: true})
	l.tcp["b"].Close()
	c.say("two") // the echo ends with the next line, but for the cut
	c.conn.(*net.TCPConn).CloseWrite()
	if err := c.hears("two", silence); !isTimeout(err) {
		t.Errorf("across a cut: %v", err)
	}
	l.Heal()
	if err := c.hears("two", patience); err != nil {
		t.Error(err)
	}
	if err := c.hears("", patience); err == nil || isTimeout(err) {
		t.Errorf("the end did not arrive: %v", err)
	}
}

func TestDelay(t *testing.T) {
	l := newLab(t)
	c := l.dial()
	l.Set("a", "b", Link{Delay: 100 * time.Millisecond})
	for range 3 {
		if d, err := c.echo("one"); err != nil || d < 90*time.Millisecond {
			t.Errorf("after %v: %v", d, err)
		}
	}
}

func TestLoss(t *testing.T) {
	l := newLab(t)
	c := l.dial()
	l.Set("a", "b", Link{Loss: 1})
	if l.packet("a", "b") {
		t.Error("a packet was not lost")
	}
	if d, err := c.echo("one"); err != nil || d < resendAfter*9/10 {
		t.Errorf("after %v: %v", d, err)
	}
	l.Set("a", "b", Link{Loss: 0.5})
	arrived := 0
	for range 40 {
		l.udp["a"].WriteToUDPAddrPort([]byte("x"), netip.MustParseAddrPort(l.addr["b"]))
	}
	buf := make([]byte, 10)
	for wait := patience; ; wait = silence { // the first is sure to come, and then none may be under way any more
		l.udp["b"].SetReadDeadline(time.Now().Add(wait))
		if _, _, err := l.udp["b"].ReadFromUDPAddrPort(buf); err != nil {
			break
		}
		arrived++
	}
	if arrived == 0 || arrived == 40 { // by chance once in 10^12
		t.Errorf("%d of 40 packets arrived", arrived)
	}
}

// A thin line carries a stream at its speed, and drops packets that come too fast.
func TestRate(t *testing.T) {
	l := newLab(t)
	c := l.dial()
	if _, err := c.echo("one"); err != nil {
		t.Fatal(err)
	}
	l.Set("a", "b", Link{Rate: 100 << 10})
	if d, err := c.echo(strings.Repeat("x", 30<<10)); err != nil || d < 290*time.Millisecond {
		t.Errorf("30 KiB at 100 KiB/s after %v: %v", d, err)
	}
	began := time.Now()
	for range 300 { // 300 KiB, of which one second's may wait
		l.udp["a"].WriteToUDPAddrPort(make([]byte, 1<<10), netip.MustParseAddrPort(l.addr["b"]))
	}
	most := 150 + int(100*time.Since(began).Seconds())
	l.udp["b"].SetReadDeadline(time.Now().Add(2 * time.Second)) // by then all that waited has come
	arrived, buf := 0, make([]byte, 2<<10)
	for ; ; arrived++ {
		if _, _, err := l.udp["b"].ReadFromUDPAddrPort(buf); err != nil {
			break
		}
	}
	if arrived == 0 || arrived > most {
		t.Errorf("%d packets arrived, of which %d may", arrived, most)
	}
	l.Heal()
	if d, err := c.echo(strings.Repeat("x", 30<<10)); err != nil || d > patience/2 {
		t.Errorf("after %v: %v", d, err)
	}
}

func TestStrangers(t *testing.T) {
	l := newLab(t)
	c, err := net.Dial("tcp", l.addr["b"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := (&line{t, c, bufio.NewReader(c)}).hears("", patience); err == nil || isTimeout(err) {
		t.Errorf("a stranger's connection: %v", err)
	}
	if n := l.Strangers(); n != 1 {
		t.Errorf("%d strangers", n)
	}
}

func TestTap(t *testing.T) {
	l := newLab(t)
	var mu sync.Mutex
	var seen []string
	l.Tap(func(from, to string, packet []byte) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, from+">"+to+": "+string(packet))
	})
	until(t, "no packet arrives", func() bool { return l.packet("a", "b") })
	mu.Lock()
	defer mu.Unlock()
	if len(seen) == 0 || seen[0] != "a>b: a to b" {
		t.Errorf("%q", seen)
	}
}

// Nothing is left of a network that is closed while its links are cut and its streams are full.
func TestCloseWhileCut(t *testing.T) {
	l := newLab(t)
	c := l.dial()
	l.Set("a", "b", Link{Cut: true})
	c.conn.SetWriteDeadline(time.Now().Add(silence))
	for big := make([]byte, 1<<20); ; {
		if _, err := c.conn.Write(big); err != nil {
			break
		}
	}
	closed := make(chan struct{})
	go func() {
		l.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		ci.Latef(t, "Close hangs")
	}
}
