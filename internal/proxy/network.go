package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/broadcast"
	"github.com/seed48eb2e21/webfarm/internal/freeport"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Link says what becomes of what one node sends to another. The zero Link is a good line.
type Link struct {
	Cut   bool          // nothing arrives
	Loss  float64       // the part of the packets that is lost, 0 to 1; so many pieces of streams come late
	Delay time.Duration // from one end to the other
	Rate  int           // bytes per second that each stream carries, and all packets together; 0 = no limit
}

// resendAfter is what TCP waits at least before it sends again.
const resendAfter = 200 * time.Millisecond

// Owner tells which node has opened a TCP connection, given both its ends as that node sees them; "" if none has. It is
// not open if the one who opened it has closed it since.
type Owner func(local, remote netip.AddrPort) (node string, open bool)

// Network is the set of all links. Its methods may be called by many goroutines.
type Network struct {
	owner     Owner
	strangers atomic.Int64
	hung      atomic.Int64 // connections that were opened across a cut
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu      sync.Mutex
	doors   map[string]*door
	links   map[[2]string]Link // by sender and receiver
	packets map[[2]string]*thinLine
	changed broadcast.Signal // links have changed
	tap     func(from, to string, packet []byte)
}

// door is the port in front of one node.
type door struct {
	node string
	real netip.AddrPort
	addr netip.AddrPort
	tcp  *net.TCPListener
	udp  *net.UDPConn
}

// New returns a network without nodes. Close it.
func New(owner Owner) *Network {
	n := &Network{owner: owner, doors: map[string]*door{}, links: map[[2]string]Link{}, packets: map[[2]string]*thinLine{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Add opens a port on 127.0.0.1 in front of the node that listens on addr, an IPv4 address, and returns its address.
func (n *Network) Add(node, addr string) (string, error) {
	real, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "", fmt.Errorf("proxy: %w", err)
	}
	d := &door{node: node, real: real}
	if err := d.open(); err != nil {
		return "", fmt.Errorf("proxy: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.doors[node] = d
	n.wg.Go(func() { n.accept(d) })
	n.wg.Go(func() { n.receive(d) })
	return d.addr.String(), nil
}

// open listens on a number that is free for TCP and UDP, and that no node is given, which may not listen there yet.
func (d *door) open() error {
	addr, err := freeport.Addr()
	if err != nil {
		return err
	}
	d.addr = netip.MustParseAddrPort(addr)
	if d.tcp, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(d.addr)); err != nil {
		return err
	}
	if d.udp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(d.addr)); err != nil {
		d.tcp.Close()
	}
	return err
}

// Set says what becomes, from now on, of what one node sends to another; of streams that are open, too.
func (n *Network) Set(from, to string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[[2]string{from, to}] = l
	n.changedLocked()
}

// Heal makes all links good.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.links)
	n.changedLocked()
}

func (n *Network) changedLocked() {
	n.changed.Notify()
}

// Tap has f called with a copy of each packet that arrives; nil ends that. f must be quick.
func (n *Network) Tap(f func(from, to string, packet []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// Strangers returns how many connections and packets came from nobody known. They are dropped.
func (n *Network) Strangers() int64 { return n.strangers.Load() }

// Close closes all ports and connections, and waits for what runs.
func (n *Network) Close() {
	n.cancel()
	n.mu.Lock()
	for _, d := range n.doors {
		d.tcp.Close()
		d.udp.Close()
	}
	n.mu.Unlock()
	n.wg.Wait()
}

// link returns the link from one node to another, and a channel that is closed when it may have changed.
func (n *Network) link(from, to string) (Link, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.links[[2]string{from, to}], n.changed.Next()
}

// open waits until a link is not cut; false if the network was closed before.
func (n *Network) open(from, to string) bool {
	for {
		l, changed := n.link(from, to)
		if !l.Cut {
			return n.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-n.ctx.Done():
			return false
		}
	}
}

// receive takes the packets for one node.
func (n *Network) receive(d *door) {
	buf := make([]byte, 64<<10)
	for {
		size, addr, err := d.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // such as a port-unreachable message for an earlier packet
		}
		from := n.sender(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))
		if from == nil {
			n.strangers.Add(1)
			continue
		}
		l, _ := n.link(from.node, d.node)
		thin := n.packetLine(from.node, d.node)
		if !l.Cut && rand.Float64() >= l.Loss && thin.queue() < longestQueue {
			n.deliver(from, d, append([]byte(nil), buf[:size]...), thin.carry(size, l.Rate)+l.Delay)
		}
	}
}

// longestQueue is how long packets wait before a thin line. Those that would have to wait longer are dropped.
const longestQueue = time.Second

// packetLine returns what carries the packets from one node to another.
func (n *Network) packetLine(from, to string) *thinLine {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := [2]string{from, to}
	if n.packets[at] == nil {
		n.packets[at] = &thinLine{}
	}
	return n.packets[at]
}

// thinLine carries bytes one after the other. One goroutine uses it.
type thinLine struct{ free time.Time } // when all that was put on it has left

// queue returns how long what is put on the line now has to wait.
func (l *thinLine) queue() time.Duration { return time.Until(l.free) }

// carry puts bytes on a line and returns how long it takes until they have left, at so many bytes a second; 0 is no limit.
func (l *thinLine) carry(size, rate int) time.Duration {
	if rate == 0 {
		return 0
	}
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(size) * time.Second / time.Duration(rate))
	return l.free.Sub(now)
}

// sender returns the node that listens on addr.
func (n *Network) sender(addr netip.AddrPort) *door {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.doors {
		if d.real == addr {
			return d
		}
	}
	return nil
}

// deliver sends a packet on from the sender's own port, so that the receiver sees the address it knows.
func (n *Network) deliver(from, to *door, packet []byte, delay time.Duration) {
	send := func() {
		n.mu.Lock()
		tap := n.tap
		n.mu.Unlock()
		if tap != nil {
			tap(from.node, to.node, packet)
		}
		from.udp.WriteToUDPAddrPort(packet, to.real) // packets may be lost
	}
	if delay == 0 {
		send()
		return
	}
	n.wg.Go(func() {
		if sleep.For(n.ctx, delay) {
			send()
		}
	})
}
