// Package memnet is a network in memory, with faults: hosts with addresses, streams and packets between them, cuts,
// partitions, delays, and hosts that die as a killed process does.
//
// It works inside testing/synctest bubbles and outside of them. Whoever waits in it waits on a channel or a sync.Cond, and
// delays are timers, so that a bubble's clock moves on when all wait; no goroutine is ever started for a connection.
//
// Streams behave as TCP does where programs rely on it: bytes stay in order, a full buffer holds the writer up, a cut
// loses nothing but holds everything back (the end of the stream included) until it heals, and a host that went down
// resets its streams. What is missing: half-closed streams, and resets for closing with data unread.
package memnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// Network is a network without hosts at first. Its methods may be called by many goroutines. Hosts are named by their IP
// address; a fault may name a host that comes later. A method panics if what it is given is no IP address.
type Network struct {
	mu      sync.Mutex
	hosts   map[string]*host
	links   map[*link]struct{} // streams with an end still open
	cuts    map[path]bool
	delays  map[path]time.Duration
	rates   map[path]int
	losses  map[path]float64
	stalls  map[path]stall
	groups  map[string]int   // by Partition; nil = none
	changed broadcast.Signal // a waiting Dial may have its chance
}

// stall is how often streams stand still, and for how long at most.
type stall struct {
	p    float64
	most time.Duration
}

// path is a direction between two hosts.
type path struct{ from, to string }

// host is a machine, over all its lives.
type host struct {
	life      int // counts Downs
	down      bool
	nextPort  uint16
	listeners map[uint16]*listener
	packets   map[uint16]*packetConn
}

// New returns an empty network.
func New() *Network {
	return &Network{
		hosts:  make(map[string]*host),
		links:  make(map[*link]struct{}),
		cuts:   make(map[path]bool),
		delays: make(map[path]time.Duration),
		rates:  make(map[path]int),
		losses: make(map[path]float64),
		stalls: make(map[path]stall),
	}
}

// Host is what a process on one machine sees of the network, for one life of it: after the machine went down, the Host of
// that life is good for nothing any more, even when the machine is up again. So what is left of a killed process cannot
// interfere with the process of the next life. Ask the Network for a new one.
type Host struct {
	network *Network
	ip      string
	life    int
}

// Host returns the machine with that address, which is added if it is new.
func (n *Network) Host(ip string) *Host {
	ip = canonical(ip)
	n.mu.Lock()
	defer n.mu.Unlock()
	return &Host{network: n, ip: ip, life: n.hostLocked(ip).life}
}

// IP returns the address of the host.
func (h *Host) IP() string { return h.ip }

func (n *Network) hostLocked(ip string) *host {
	if n.hosts[ip] == nil {
		n.hosts[ip] = &host{
			nextPort:  firstPort,
			listeners: make(map[uint16]*listener),
			packets:   make(map[uint16]*packetConn),
		}
	}
	return n.hosts[ip]
}

func canonical(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		panic(fmt.Sprintf("memnet: %q is no IP address", ip))
	}
	return addr.Unmap().String()
}

// Cut drops packets from a to b and holds back what streams carry that way. Streams cannot be opened between them, in
// either direction: that takes both ways.
func (n *Network) Cut(a, b string) {
	p := path{canonical(a), canonical(b)}
	n.change(func() { n.cuts[p] = true })
}

// Partition cuts every path between hosts of different groups. Hosts in no group form one more. It replaces the Partition
// before, and leaves Cuts alone.
func (n *Network) Partition(groups ...[]string) {
	of := make(map[string]int)
	for i, group := range groups {
		for _, ip := range group {
			of[canonical(ip)] = i + 1
		}
	}
	n.change(func() { n.groups = of })
}

// Heal ends the partition and all cuts. What streams held back arrives.
func (n *Network) Heal() {
	n.change(func() {
		n.groups = nil
		clear(n.cuts)
	})
}

// Delay makes everything sent from a to b from now on take d longer than no time at all; 0 ends that.
func (n *Network) Delay(a, b string, d time.Duration) {
	p := path{canonical(a), canonical(b)}
	n.change(func() { n.delays[p] = d })
}

// Limit makes each stream carry at most so many bytes per second from a to b, of what is sent from now on; 0 ends that.
// Packets are not limited.
func (n *Network) Limit(a, b string, bytesPerSecond int) {
	p := path{canonical(a), canonical(b)}
	n.change(func() { n.rates[p] = bytesPerSecond })
}

// Lose drops packets from a to b from now on, each with probability p; 0 ends that. Streams lose nothing, as in TCP.
func (n *Network) Lose(a, b string, p float64) {
	at := path{canonical(a), canonical(b)}
	n.change(func() { n.losses[at] = p })
}

// Stall has each stream from a to b stand still from time to time, as one does whose lost packet is sent again: with probability
// p, what is written from now on takes up to most longer, and what is written after it on that stream waits behind it. Other
// streams overtake it. p = 0 ends that.
func (n *Network) Stall(a, b string, p float64, most time.Duration) {
	at := path{canonical(a), canonical(b)}
	n.change(func() { n.stalls[at] = stall{p, most} })
}

// Forget has the streams that are open now between a and b vanish, as when a firewall between them is restarted: what is written
// on them is lost without an error, and neither end hears of the other again. New streams work.
func (n *Network) Forget(a, b string) {
	a, b = canonical(a), canonical(b)
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		if h := l.halves[0]; h.from == a && h.to == b || h.from == b && h.to == a {
			l.lose()
		}
	}
}

// Down kills the host: its listeners and sockets vanish, its streams are reset. Dials to it are refused until something
// listens there again, after Up.
func (n *Network) Down(ip string) {
	ip = canonical(ip)
	n.change(func() {
		h := n.hostLocked(ip)
		h.down = true
		h.life++
		for _, l := range h.listeners {
			l.closeLocked()
		}
		for _, c := range h.packets {
			c.closeLocked()
		}
		for l := range n.links {
			if l.ends[0].local.ip == ip || l.ends[1].local.ip == ip {
				l.reset(ip)
			}
		}
	})
}

// Up lets the host take part again. Nothing listens on it yet.
func (n *Network) Up(ip string) {
	ip = canonical(ip)
	n.change(func() { n.hostLocked(ip).down = false })
}

// change alters the state of the network and lets everybody see it.
func (n *Network) change(alter func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	alter()
	for l := range n.links {
		n.refreshLocked(l)
	}
	n.wakeLocked()
}

// wakeLocked lets waiting Dials look again.
func (n *Network) wakeLocked() {
	n.changed.Notify()
}

func (n *Network) refreshLocked(l *link) {
	for _, h := range l.halves {
		at := path{h.from, h.to}
		h.setPath(n.heldLocked(h.from, h.to), n.heldLocked(h.to, h.from), n.delays[at], n.rates[at], n.stalls[at])
	}
}

func (n *Network) heldLocked(from, to string) bool {
	return n.cuts[path{from, to}] || n.groups != nil && from != to && n.groups[from] != n.groups[to]
}

// aliveLocked returns the machine of h, or an error when h belongs to a former life of it.
func (h *Host) aliveLocked() (*host, error) {
	machine := h.network.hosts[h.ip]
	if machine.down || machine.life != h.life {
		return nil, syscall.ENETDOWN
	}
	return machine, nil
}

const firstPort = 40000 // of those that are picked

// pickPort returns a port of the host that taken does not have: the next one in turn, so that numbers are not reused soon.
func pickPort[T any](h *host, taken map[uint16]T) (uint16, error) {
	for range 65536 - firstPort {
		port := h.nextPort
		h.nextPort++
		if h.nextPort == 0 {
			h.nextPort = firstPort
		}
		if _, ok := taken[port]; !ok {
			return port, nil
		}
	}
	return 0, syscall.EADDRINUSE
}

// bindLocked resolves the address to listen on: the host's own, or an unspecified one, or none.
func bindLocked[T any](h *Host, addr string, taken func(*host) map[uint16]T) (*host, addrPort, error) {
	machine, err := h.aliveLocked()
	if err != nil {
		return nil, addrPort{}, err
	}
	ip, number, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, addrPort{}, err
	}
	if own, err := netip.ParseAddr(ip); ip != "" && (err != nil || !own.IsUnspecified() && own.Unmap().String() != h.ip) {
		return nil, addrPort{}, syscall.EADDRNOTAVAIL
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, addrPort{}, errors.New("invalid port in " + addr)
	}
	if _, ok := taken(machine)[uint16(port)]; ok {
		return nil, addrPort{}, syscall.EADDRINUSE
	}
	if port > 0 {
		return machine, addrPort{h.ip, uint16(port)}, nil
	}
	picked, err := pickPort(machine, taken(machine))
	return machine, addrPort{h.ip, picked}, err
}

// addrPort is an address on this network, its IP in canonical form.
type addrPort struct {
	ip   string
	port uint16
}

func parseAddrPort(s string) (addrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return addrPort{}, &net.AddrError{Err: "not an IP address and a port", Addr: s}
	}
	return addrPort{a.Addr().Unmap().String(), a.Port()}, nil
}

func (a addrPort) tcp() *net.TCPAddr { return &net.TCPAddr{IP: net.ParseIP(a.ip), Port: int(a.port)} }
func (a addrPort) udp() *net.UDPAddr { return &net.UDPAddr{IP: net.ParseIP(a.ip), Port: int(a.port)} }

var (
	errClosed  = net.ErrClosed
	errTimeout = os.ErrDeadlineExceeded
)
